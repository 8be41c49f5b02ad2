package rules

import "sync"

// cache keeps compiled values by source text. It has two generations of at most size values each. When the recent generation is
// full, it becomes the older generation, and the old one is dropped. A value that is used moves to the recent generation. A
// cache is safe for concurrent use.
type cache[V any] struct {
	size   int
	mu     sync.Mutex
	recent map[string]V // guarded by mu
	older  map[string]V // guarded by mu
}

func newCache[V any](size int) *cache[V] {
	return &cache[V]{size: size, recent: make(map[string]V)}
}

// get returns the value of key. If the cache does not have the value, get compiles and adds it. Failures are not cached. get does
// not hold the lock while it compiles: two callers may compile the same text at the same time, with equal results.
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

func (c *cache[V]) lookup(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, ok := c.recent[key]; ok {
		return value, true
	}
	value, ok := c.older[key]
	if ok {
		c.put(key, value)
	}
	return value, ok
}

func (c *cache[V]) add(key string, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, value)
}

// put adds a value. The caller holds mu.
func (c *cache[V]) put(key string, value V) {
	if len(c.recent) >= c.size {
		c.older, c.recent = c.recent, make(map[string]V, c.size)
	}
	c.recent[key] = value
}
