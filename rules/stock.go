package rules

import "sync"

// stock keeps the checkers that no check uses, by the text of their schema. A checker runs one check at a time, so there can be
// several for one schema. Like a [cache], a stock has two generations of at most limit bytes each. It is safe for concurrent use.
type stock struct {
	limit  int
	mu     sync.Mutex
	bytes  int                   // of recent; guarded by mu
	recent map[string][]*checker // guarded by mu
	older  map[string][]*checker // guarded by mu
}

func newStock(limit int) *stock { return &stock{limit: limit, recent: make(map[string][]*checker)} }

// take returns a checker and removes it from the stock. If the stock has none for the schema, take compiles one.
func (s *stock) take(schema string) (*checker, Mistakes) {
	if c := s.find(schema); c != nil {
		return c, nil
	}
	return newChecker([]byte(schema))
}

func (s *stock) find(schema string) *checker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := pop(s.recent, schema); c != nil {
		s.bytes -= c.size()
		return c
	}
	return pop(s.older, schema)
}

// pop removes a checker from a generation. It returns nil when there is none.
func pop(generation map[string][]*checker, schema string) *checker {
	idle := generation[schema]
	if len(idle) == 0 {
		return nil
	}
	last := len(idle) - 1
	c := idle[last]
	if generation[schema] = idle[:last]; last == 0 {
		delete(generation, schema)
	}
	return c
}

// give adds a checker after its check.
func (s *stock) give(schema string, c *checker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+c.size() > s.limit {
		s.older, s.recent, s.bytes = s.recent, make(map[string][]*checker), 0
	}
	s.recent[schema] = append(s.recent[schema], c)
	s.bytes += c.size()
}
