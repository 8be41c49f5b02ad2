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

// bodies bounds the memory of all bodies together. It is safe for concurrent use.
type bodies struct {
	received *semaphore.Weighted
	decoded  *semaphore.Weighted

	mu       sync.Mutex
	arriving *list.List // guarded by mu; of *body, the oldest first
}

func newBodies(received, decoded int64) *bodies {
	return &bodies{received: semaphore.NewWeighted(received), decoded: semaphore.NewWeighted(decoded), arriving: list.New()}
}

// body is one body, from its first byte until it was handled.
type body struct {
	all      *bodies
	ctx      context.Context //nolint:containedctx // of the wait for room; it ends when the body is given up
	giveUp   func()          // ends the waits for room and for more of the body
	element  *list.Element   // nil when the body has arrived completely
	received int64
	decoded  int64
}

// begin returns a body whose caller begins to send it. The caller of begin calls release.
func (b *bodies) begin(ctx context.Context, w http.ResponseWriter) *body {
	ctx, cancel := context.WithCancel(ctx)
	one := &body{all: b, ctx: ctx, giveUp: func() {
		cancel()
		_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
	}}
	b.mu.Lock()
	defer b.mu.Unlock()
	one.element = b.arriving.PushBack(one)
	return one
}

// reserve waits until there is room for n more bytes of the body. When there is none, the body that has been arriving for the
// longest time is given up, also if it waits for room itself, and also if it is this one: a caller that sends its body at once
// loses nothing to callers that are slow, and bodies do not wait for each other.
func (b *body) reserve(n int64) error {
	if !b.all.received.TryAcquire(n) {
		b.all.giveUpOldest()
		if err := b.all.received.Acquire(b.ctx, n); err != nil {
			return busyServer()
		}
	}
	b.received += n
	return nil
}

func (b *bodies) giveUpOldest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if oldest := b.arriving.Front(); oldest != nil {
		b.arriving.Remove(oldest)
		one := oldest.Value.(*body) //nolint:forcetypeassert // the list holds nothing else
		one.element = nil
		one.giveUp()
	}
}

// arrived says that the body is complete: it cannot be given up any more. It reports whether it was given up before.
func (b *body) arrived() (givenUp bool) {
	b.all.mu.Lock()
	defer b.all.mu.Unlock()
	if b.element == nil {
		return true
	}
	b.all.arriving.Remove(b.element)
	b.element = nil
	return false
}

// awaitDecoding waits until a body of n bytes may be decoded.
func (b *body) awaitDecoding(ctx context.Context, n int) error {
	if err := b.all.decoded.Acquire(ctx, int64(n)); err != nil {
		return busyServer()
	}
	b.decoded = int64(n)
	return nil
}

// release ends the life of the body.
func (b *body) release() {
	b.arrived()
	b.all.received.Release(b.received)
	b.all.decoded.Release(b.decoded)
	b.received, b.decoded = 0, 0
}

func busyServer() error {
	return attune.Errorf(attune.CodeUnavailable, "the server is busy with other requests: try again later")
}
