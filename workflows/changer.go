package workflows

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/attune-go/attune"
)

const (
	// changeTimeout bounds the repeated tries to send a batch of requests.
	changeTimeout = 25 * time.Second
	// changePause is the pause between two tries. A queue usually continues as new within it.
	changePause = 100 * time.Millisecond
)

// changer sends change requests to queues in batches. Temporal accepts ten updates of a workflow at a time and two thousand per
// run. So the changer sends one update at a time to a queue, with all requests that arrived during the previous one.
//
// A failed batch is sent again with the same requests. A queue makes the change of a request once.
type changer struct {
	send func(context.Context, attune.QueueKey, []attune.ChangeRequest) (ChangesResult, error)

	mu     sync.Mutex
	queued map[attune.QueueKey][]*pendingRequest // guarded by mu; has a key for every queue with a sending goroutine
}

// pendingRequest is a request whose caller waits for the answer.
type pendingRequest struct {
	request attune.ChangeRequest
	answer  chan<- changeAnswer // buffered for one answer
}

type changeAnswer struct {
	status attune.QueueStatus
	err    error
}

func newChanger(send func(context.Context, attune.QueueKey, []attune.ChangeRequest) (ChangesResult, error)) *changer {
	return &changer{send: send, queued: map[attune.QueueKey][]*pendingRequest{}}
}

// submit sends a request to a queue and waits for the answer. If ctx ends first, the change can still be made later.
func (c *changer) submit(ctx context.Context, key attune.QueueKey, request attune.ChangeRequest) (attune.QueueStatus, error) {
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
			"queue %q did not answer in time: the change can still be made later", key)
	}
}

// run sends batches to one queue until no request is queued.
func (c *changer) run(ctx context.Context, key attune.QueueKey) {
	for {
		batch := c.take(key)
		if len(batch) == 0 {
			return
		}
		c.deliver(ctx, key, batch)
	}
}

// take removes and returns the next batch. Without one, it deletes the key of the queue, and the caller must stop sending.
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

// deliver sends a batch and answers every caller.
func (c *changer) deliver(ctx context.Context, key attune.QueueKey, batch []*pendingRequest) {
	requests := make([]attune.ChangeRequest, len(batch))
	for i, pending := range batch {
		requests[i] = pending.request
	}
	result, err := c.sendUntilAnswered(ctx, key, requests)
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

// sendUntilAnswered sends the requests, and repeats that while a later try can succeed: while Temporal does not answer, the
// queue continues as new, or a change is not recorded yet.
func (c *changer) sendUntilAnswered(
	ctx context.Context, key attune.QueueKey, requests []attune.ChangeRequest,
) (result ChangesResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	for {
		result, err = c.send(ctx, key, requests)
		if !unanswered(result, err) {
			return result, err
		}
		select {
		case <-time.After(changePause):
		case <-ctx.Done():
			return result, err
		}
	}
}

func unanswered(result ChangesResult, err error) bool {
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
