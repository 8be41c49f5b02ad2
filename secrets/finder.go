package secrets

// finder finds texts in a stream. It is the automaton of Aho and Corasick: it reads each byte of the stream once, however many texts
// there are. It does not change after [newFinder].
//
// A state stands for the longest end of what was read that is the start of a text. State 0 stands for the empty one.
type finder struct {
	states []state
	wide   [][256]int32 // the next state for each byte, of the states with many children
}

// state is a node of the tree of all starts of texts.
type state struct {
	depth   int32 // bytes that the state stands for
	found   int32 // bytes of the longest text that ends here; 0 if none does
	fail    int32 // the state of the longest shorter end that is the start of a text
	child   int32 // the first child; 0 if there is none
	sibling int32 // the next child of the same parent; 0 if there is none
	wide    int32 // 1 + the index in finder.wide; 0 if the children are a list
	by      byte  // the last byte of the state
	edges   edges // of the longest text that ends here; trailing also of a shorter one
}

// edges says which neighbours of a text, in base64, hold some of its bits too.
type edges uint8

const (
	leading  edges = 1 << iota // the character before the text
	trailing                   // the character after the text
)

// form is a text to find.
type form struct {
	text  []byte
	edges edges
}

// manyChildren is from how many children on a state has a table: a list of them would take long to search.
const manyChildren = 5

func newFinder(texts []form) *finder {
	f := &finder{states: make([]state, 1)}
	for _, text := range texts {
		f.add(text)
	}
	f.link()
	return f
}

// add adds a text to the tree.
func (f *finder) add(text form) {
	at := int32(0)
	for i, b := range text.text {
		next := f.childOf(at, b)
		if next == 0 {
			next = int32(len(f.states))
			f.states = append(f.states, state{depth: int32(i + 1), by: b, sibling: f.states[at].child})
			f.states[at].child = next
		}
		at = next
	}
	f.states[at].found = int32(len(text.text))
	f.states[at].edges |= text.edges
}

// childOf returns the child of a state by a byte; 0 if there is none.
func (f *finder) childOf(at int32, b byte) int32 {
	child := f.states[at].child
	for child != 0 && f.states[child].by != b {
		child = f.states[child].sibling
	}
	return child
}

// link completes the states, in the order of their depth: a state fails to one of less depth.
func (f *finder) link() {
	for queue := []int32{0}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		children := 0
		for child := f.states[at].child; child != 0; child = f.states[child].sibling {
			children++
			queue = append(queue, child)
			if at != 0 {
				f.states[child].fail = f.next(f.states[at].fail, f.states[child].by)
			}
			s := &f.states[child]
			shorter := f.states[s.fail]
			if s.found == 0 {
				s.found, s.edges = shorter.found, shorter.edges
			}
			s.edges |= shorter.edges & trailing
		}
		if at == 0 || children >= manyChildren {
			f.widen(at)
		}
	}
}

// widen gives a state its table.
func (f *finder) widen(at int32) {
	var table [256]int32
	for b := range table {
		table[b] = f.childOf(at, byte(b))
		if table[b] == 0 && at != 0 {
			table[b] = f.next(f.states[at].fail, byte(b))
		}
	}
	f.wide = append(f.wide, table)
	f.states[at].wide = int32(len(f.wide))
}

// next returns the state after one more byte. A stream of n bytes takes at most 2n steps of the loop.
func (f *finder) next(at int32, b byte) int32 {
	for {
		s := &f.states[at]
		if s.wide != 0 {
			return f.wide[s.wide-1][b]
		}
		if child := f.childOf(at, b); child != 0 {
			return child
		}
		at = s.fail
	}
}
