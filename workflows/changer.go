package workflows

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/attune-go/attune"
)

const (
	// changeTime bounds how long requests are sent again and again before their callers are told that nothing answers.
	changeTime = 25 * time.Second
	// changePause is the time between two tries. A queue that continues as new is back within it, most of the time.
	changePause = 100 * time.Millisecond
)

// changer sends the changes of queues. The engine takes ten updates of a workflow at a time and two thousand per run, so
// a queue gets one update at a time, which holds all the requests that came up during the one before.
//
// A batch that fails is sent again with the same requests. That is safe: a queue makes the change of a request once.
type changer struct {
	send func(context.Context, attune.QueueKey, []attune.ChangeRequest) (ChangesResult, error)

	mu     sync.Mutex
	queued map[attune.QueueKey][]*pendingRequest // has the key of every queue that a goroutine sends to
}

// pendingRequest is a request whose caller waits.
type pendingRequest struct {
	request attune.ChangeRequest
	answer  chan<- changeAnswer // has room for the one answer
}

type changeAnswer struct {
	status attune.QueueStatus
	err    error
}

func newChanger(send func(context.Context, attune.QueueKey, []attune.ChangeRequest) (ChangesResult, error)) *changer {
	return &changer{send: send, queued: map[attune.QueueKey][]*pendingRequest{}}
}

// make has a queue make a change. When ctx ends first, the change may be made all the same.
func (c *changer) make(ctx context.Context, key attune.QueueKey, request attune.ChangeRequest) (attune.QueueStatus, error) {
	answer := make(chan changeAnswer, 1)
	c.mu.Lock()
	_, sending := c.queued[key]
	c.queued[key] = append(c.queued[key], &pendingRequest{request: request, answer: answer})
	c.mu.Unlock()
	if !sending {
		go c.run(context.WithoutCancel(ctx), key)
	}
	select {
	case a := <-answer:
		return a.status, a.err
	case <-ctx.Done():
		return attune.QueueStatus{}, attune.WrapError(attune.CodeUnavailable, ctx.Err(),
			"queue %q has not answered in time: the change may be made later", key)
	}
}

// run sends the requests for one queue until there are none.
func (c *changer) run(ctx context.Context, key attune.QueueKey) {
	for {
		batch := c.take(key)
		if len(batch) == 0 {
			return
		}
		c.deliver(ctx, key, batch)
	}
}

// take removes the next batch. Without one, the queue has no sender any more.
func (c *changer) take(key attune.QueueKey) []*pendingRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	queued := c.queued[key]
	n := min(len(queued), maxChanges)
	if n == 0 {
		delete(c.queued, key)
		return nil
	}
	c.queued[key] = queued[n:]
	return queued[:n]
}

// deliver sends a batch until the queue has decided about it, and answers every caller.
func (c *changer) deliver(ctx context.Context, key attune.QueueKey, batch []*pendingRequest) {
	requests := make([]attune.ChangeRequest, len(batch))
	for i, pending := range batch {
		requests[i] = pending.request
	}
	result, err := c.insist(ctx, key, requests)
	if err == nil && len(result.Failures) != len(batch) {
		err = fmt.Errorf("queue %q answered %d changes of %d", key, len(result.Failures), len(batch))
	}
	for i, pending := range batch {
		answer := changeAnswer{status: result.Status, err: err}
		if err == nil && result.Failures[i].Code != "" {
			answer.err = attune.Errorf(result.Failures[i].Code, "%s", result.Failures[i].Message)
		}
		pending.answer <- answer
	}
}

// insist sends the requests again as long as a later try may succeed: the service does not answer, the queue continues as
// new, or the record of one of the changes is under way.
func (c *changer) insist(ctx context.Context, key attune.QueueKey, requests []attune.ChangeRequest) (result ChangesResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTime)
	defer cancel()
	for {
		result, err = c.send(ctx, key, requests)
		if !unsettled(result, err) {
			return result, err
		}
		select {
		case <-time.After(changePause):
		case <-ctx.Done():
			return result, err
		}
	}
}

func unsettled(result ChangesResult, err error) bool {
	if err != nil {
		return attune.CodeOf(err) == attune.CodeUnavailable
	}
	for _, failure := range result.Failures {
		if failure.Code == attune.CodeUnavailable {
			return true
		}
	}
	return false
}
