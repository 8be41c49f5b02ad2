package rules

import (
	"container/list"
	"sync"
)

// cache remembers what is expensive to compile, by its source text. It forgets what was not used for longest, and is
// safe for concurrent use.
type cache[V any] struct {
	mu      sync.Mutex
	size    int
	entries map[string]*list.Element
	recent  *list.List // of cacheEntry[V], the most recently used in front
}

type cacheEntry[V any] struct {
	key   string
	value V
}

func newCache[V any](size int) *cache[V] {
	return &cache[V]{size: size, entries: make(map[string]*list.Element), recent: list.New()}
}

// get returns the value of key, made by compile if it is not there. Failures are not remembered. Compiling holds no
// lock: two callers that miss at once compile twice, and either result is right.
func (c *cache[V]) get(key string, compile func() (V, Mistakes)) (V, Mistakes) {
	if value, ok := c.lookup(key); ok {
		return value, nil
	}
	value, mistakes := compile()
	if mistakes == nil {
		c.add(key, value)
	}
	return value, mistakes
}

func (c *cache[V]) lookup(key string) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return value, false
	}
	c.recent.MoveToFront(element)
	return element.Value.(cacheEntry[V]).value, true
}

func (c *cache[V]) add(key string, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok {
		return
	}
	c.entries[key] = c.recent.PushFront(cacheEntry[V]{key, value})
	if c.recent.Len() > c.size {
		oldest := c.recent.Remove(c.recent.Back()).(cacheEntry[V])
		delete(c.entries, oldest.key)
	}
}
