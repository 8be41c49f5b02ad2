package semaphore

import "container/heap"

// headed is an element of a [byHead] heap: its rank is the sequence of the ticket that it would have granted next.
type headed interface {
	head() int64
	slot() *int // where the heap stores the element's index, from 1; 0 outside a heap
}

// byHead is a heap of lanes or actions, the lowest sequence on top. An element is in one heap at a time.
type byHead[T headed] struct{ elements []T }

// top returns the element with the lowest sequence. The heap must not be empty.
func (h *byHead[T]) top() T { return h.elements[0] }

// set adds an element, or restores its place after its rank has changed.
func (h *byHead[T]) set(element T) {
	if at := *element.slot(); at > 0 {
		heap.Fix(h, at-1)
		return
	}
	heap.Push(h, element)
}

// remove removes an element, if it is in the heap.
func (h *byHead[T]) remove(element T) {
	if at := *element.slot(); at > 0 {
		heap.Remove(h, at-1)
	}
}

// Len implements [heap.Interface].
func (h *byHead[T]) Len() int { return len(h.elements) }

// Less implements [heap.Interface].
func (h *byHead[T]) Less(i, j int) bool { return h.elements[i].head() < h.elements[j].head() }

// Swap implements [heap.Interface].
func (h *byHead[T]) Swap(i, j int) {
	h.elements[i], h.elements[j] = h.elements[j], h.elements[i]
	*h.elements[i].slot(), *h.elements[j].slot() = i+1, j+1
}

// Push implements [heap.Interface].
func (h *byHead[T]) Push(x any) {
	element := x.(T) //nolint:forcetypeassert // only set calls heap.Push
	h.elements = append(h.elements, element)
	*element.slot() = len(h.elements)
}

// Pop implements [heap.Interface].
func (h *byHead[T]) Pop() any {
	last := len(h.elements) - 1
	element := h.elements[last]
	h.elements = h.elements[:last]
	*element.slot() = 0
	return element
}
