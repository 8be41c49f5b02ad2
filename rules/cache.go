package rules

import "sync"

// cacheBytes is the limit of each generation of each cache. By the estimates of this package, a rule with five templates takes about
// 40 KiB, and a schema with 20 parts 70 KiB.
const cacheBytes = 32 << 20

// sized is a compiled value that estimates its memory in bytes.
type sized interface{ size() int }

// cache keeps compiled values by source text. It has two generations of at most limit bytes each. When the recent generation is
// full, it becomes the older generation, and the old one is dropped. A value that is used moves to the recent generation. A
// cache is safe for concurrent use.
type cache[V sized] struct {
	limit  int
	mu     sync.Mutex
	bytes  int          // of recent; guarded by mu
	recent map[string]V // guarded by mu
	older  map[string]V // guarded by mu
}

func newCache[V sized](limit int) *cache[V] {
	return &cache[V]{limit: limit, recent: make(map[string]V)}
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
		delete(c.older, key)
		c.put(key, value)
	}
	return value, ok
}

func (c *cache[V]) add(key string, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.recent[key]; !ok { // another caller has compiled the same text
		c.put(key, value)
	}
}

// put adds a value. The caller holds mu, and recent does not have the key.
func (c *cache[V]) put(key string, value V) {
	bytes := value.size()
	if c.bytes+bytes > c.limit {
		c.older, c.recent, c.bytes = c.recent, make(map[string]V), 0
	}
	c.recent[key] = value
	c.bytes += bytes
}
