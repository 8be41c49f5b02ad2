package rules

import "sync"

// cache remembers what is expensive to compile, by its source text. It holds between one and two times size values: when
// the recent ones become too many, those that were not used since the last time are forgotten. It is safe for
// concurrent use.
type cache[V any] struct {
	mu     sync.Mutex
	size   int
	recent map[string]V
	older  map[string]V
}

func newCache[V any](size int) *cache[V] {
	return &cache[V]{size: size, recent: make(map[string]V)}
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

// put is add under the lock.
func (c *cache[V]) put(key string, value V) {
	if len(c.recent) >= c.size {
		c.older, c.recent = c.recent, make(map[string]V, c.size)
	}
	c.recent[key] = value
}
