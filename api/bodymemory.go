package api

import (
	"container/list"
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/attune-go/attune"
)

const (
	// maxReceived bounds the bytes of all bodies in memory, in bytes.
	maxReceived = 64 << 20
	// maxDecoded bounds the bytes of all bodies that are decoded and handled at one time. Decoding can take about 60 times as much.
	maxDecoded = 4 << 20
)

// bodyMemory bounds the memory that the bodies of all requests take together. It is safe for concurrent use.
type bodyMemory struct {
	received *semaphore.Weighted
	decoded  *semaphore.Weighted

	mu       sync.Mutex
	arriving *list.List // guarded by mu; of *bodyClaim, the oldest first
}

func newBodyMemory(received, decoded int64) *bodyMemory {
	return &bodyMemory{received: semaphore.NewWeighted(received), decoded: semaphore.NewWeighted(decoded), arriving: list.New()}
}

// bodyClaim is the claim of one body to the memory, from its first byte until it was handled.
type bodyClaim struct {
	all      *bodyMemory
	ctx      context.Context //nolint:containedctx // of the wait for room; it ends when the body is given up
	giveUp   func()          // ends the waits for room and for more of the body
	element  *list.Element   // nil when the body has arrived completely
	received int64
	decoded  int64
}

// begin returns the claim of a body that its sender begins to send. The caller of begin calls release.
func (m *bodyMemory) begin(ctx context.Context, w http.ResponseWriter) *bodyClaim {
	ctx, cancel := context.WithCancel(ctx)
	claim := &bodyClaim{all: m, ctx: ctx, giveUp: func() {
		cancel()
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	}}
	m.mu.Lock()
	defer m.mu.Unlock()
	claim.element = m.arriving.PushBack(claim)
	return claim
}

// reserve waits until there is room for n more bytes of the body. When there is none, the body that has been arriving for the
// longest time is given up, also if it waits for room itself, and also if it is this one: a caller that sends its body at once
// loses nothing to callers that are slow, and bodies do not wait for each other.
func (c *bodyClaim) reserve(n int64) error {
	if !c.all.received.TryAcquire(n) {
		c.all.giveUpOldest()
		if err := c.all.received.Acquire(c.ctx, n); err != nil {
			return busyServer()
		}
	}
	c.received += n
	return nil
}

func (m *bodyMemory) giveUpOldest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if oldest := m.arriving.Front(); oldest != nil {
		m.arriving.Remove(oldest)
		one := oldest.Value.(*bodyClaim) //nolint:forcetypeassert // the list holds nothing else
		one.element = nil
		one.giveUp()
	}
}

// arrived says that the body is complete: it cannot be given up any more. It reports whether it was given up before.
func (c *bodyClaim) arrived() (givenUp bool) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.element == nil {
		return true
	}
	c.all.arriving.Remove(c.element)
	c.element = nil
	return false
}

// awaitDecoding waits until a body of n bytes may be decoded.
func (c *bodyClaim) awaitDecoding(ctx context.Context, n int) error {
	if err := c.all.decoded.Acquire(ctx, int64(n)); err != nil {
		return busyServer()
	}
	c.decoded = int64(n)
	return nil
}

// release ends the life of the body.
func (c *bodyClaim) release() {
	c.arrived()
	c.all.received.Release(c.received)
	c.all.decoded.Release(c.decoded)
	c.received, c.decoded = 0, 0
}

func busyServer() error {
	return attune.Errorf(attune.CodeUnavailable, "the server is busy with other requests: try again later")
}
