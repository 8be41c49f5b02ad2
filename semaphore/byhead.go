package semaphore

// byHead is a heap of lanes or actions, ranked by the sequence of the ticket that each would have granted next. The lowest
// sequence is on top. An element is in one heap at a time. Ranks stand beside the elements, so a comparison touches no element.
type byHead[T slotted] struct{ nodes []node[T] }

type node[T slotted] struct {
	sequence int64
	element  T
}

// slotted is an element that knows its place in the heap.
type slotted interface {
	slot() *int // the index of the element's node, from 1; 0 outside a heap
}

func (h *byHead[T]) empty() bool { return len(h.nodes) == 0 }

// top returns the element with the lowest sequence. The heap must not be empty.
func (h *byHead[T]) top() T { return h.nodes[0].element }

// lowest returns the lowest sequence. The heap must not be empty.
func (h *byHead[T]) lowest() int64 { return h.nodes[0].sequence }

// set adds an element, or changes its rank.
func (h *byHead[T]) set(element T, sequence int64) {
	i := *element.slot() - 1
	if i < 0 {
		i = len(h.nodes)
		h.nodes = append(h.nodes, node[T]{})
	} else if h.nodes[i].sequence == sequence {
		return
	}
	h.settle(i, node[T]{sequence: sequence, element: element})
}

// remove removes an element, if it is in the heap.
func (h *byHead[T]) remove(element T) {
	i := *element.slot() - 1
	if i < 0 {
		return
	}
	*element.slot() = 0
	last := len(h.nodes) - 1
	moved := h.nodes[last]
	h.nodes[last] = node[T]{}
	h.nodes = h.nodes[:last]
	if i < last {
		h.settle(i, moved)
	}
}

// settle puts a node at a free index, and then where its rank belongs.
func (h *byHead[T]) settle(i int, n node[T]) {
	for i > 0 && h.nodes[(i-1)/2].sequence > n.sequence {
		h.put(i, h.nodes[(i-1)/2])
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child+1 < len(h.nodes) && h.nodes[child+1].sequence < h.nodes[child].sequence {
			child++
		}
		if child >= len(h.nodes) || h.nodes[child].sequence >= n.sequence {
			break
		}
		h.put(i, h.nodes[child])
		i = child
	}
	h.put(i, n)
}

func (h *byHead[T]) put(i int, n node[T]) {
	h.nodes[i] = n
	*n.element.slot() = i + 1
}
