package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// QueueControl changes queues by hand. Each change says who makes it and why, and is recorded. One that changes nothing, or
// that cannot be, is an [attune.CodeConflict] error.
type QueueControl interface {
	SetMode(ctx context.Context, key attune.QueueKey, mode attune.QueueMode, author attune.Author) (attune.QueueStatus, error)
	// SetLimit puts a limit in force instead of the policy's; nil gives it back to the policy.
	SetLimit(ctx context.Context, key attune.QueueKey, limit *attune.LimitOverride, author attune.Author) (attune.QueueStatus, error)
	// CancelTicket takes a waiting ticket out of its queue.
	CancelTicket(ctx context.Context, key attune.QueueKey, ticket attune.Ticket, author attune.Author) (attune.QueueStatus, error)
}

// LimitChange is the body of PUT /api/v1/queues/{key}/limit.
type LimitChange struct {
	Change
	Limit int        `json:"limit" minimum:"0" maximum:"5000" doc:"How many may hold a slot; 0 grants nobody"`
	Until *time.Time `json:"until,omitempty" doc:"When the policy's limit is in force again; never unless given"`
}

type changeQueueInput struct {
	Key  string `path:"key" doc:"The queue's key"`
	Body Change
}

type limitQueueInput struct {
	Key  string `path:"key" doc:"The queue's key"`
	Body LimitChange
}

func (s *Server) registerControl() {
	modes := []struct {
		verb, summary string
		mode          attune.QueueMode
	}{
		{"pause", "Grant nobody until the queue is resumed; go on taking tickets in", attune.QueuePaused},
		{"resume", "Open a queue that is paused or drains", attune.QueueOpen},
		{"drain", "Grant those who wait and reject newcomers until the queue is resumed", attune.QueueDraining},
	}
	for _, m := range modes {
		register(s, huma.Operation{
			OperationID: m.verb + "-queue", Method: http.MethodPost, Path: "/queues/{key}/" + m.verb, Tags: []string{"queues"},
			Summary: m.summary, Errors: []int{http.StatusNotFound, http.StatusConflict},
		}, func(ctx context.Context, in *changeQueueInput) (*answer[attune.QueueStatus], error) {
			return s.changeQueue(ctx, in.Key, in.Body, func(key attune.QueueKey, author attune.Author) (attune.QueueStatus, error) {
				return s.deps.Control.SetMode(ctx, key, m.mode, author)
			})
		})
	}
	register(s, huma.Operation{
		OperationID: "set-queue-limit", Method: http.MethodPut, Path: "/queues/{key}/limit", Tags: []string{"queues"},
		Summary: "Put a limit in force instead of the policy's", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.setQueueLimit)
	register(s, huma.Operation{
		OperationID: "clear-queue-limit", Method: http.MethodPost, Path: "/queues/{key}/limit/clear", Tags: []string{"queues"},
		Summary: "Give the limit back to the policy", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *changeQueueInput) (*answer[attune.QueueStatus], error) {
		return s.changeQueue(ctx, in.Key, in.Body, func(key attune.QueueKey, author attune.Author) (attune.QueueStatus, error) {
			return s.deps.Control.SetLimit(ctx, key, nil, author)
		})
	})
	s.registerEnforcementControl()
}

func (s *Server) setQueueLimit(ctx context.Context, in *limitQueueInput) (*answer[attune.QueueStatus], error) {
	limit := &attune.LimitOverride{Limit: in.Body.Limit}
	if in.Body.Until != nil {
		limit.Until = *in.Body.Until
	}
	return s.changeQueue(ctx, in.Key, in.Body.Change, func(key attune.QueueKey, author attune.Author) (attune.QueueStatus, error) {
		return s.deps.Control.SetLimit(ctx, key, limit, author)
	})
}

// changeQueue lets a queue be changed before its first use, but not a queue that does not exist: the change would make it.
func (s *Server) changeQueue(
	ctx context.Context, name string, said Change, change func(attune.QueueKey, attune.Author) (attune.QueueStatus, error),
) (*answer[attune.QueueStatus], error) {
	key := attune.QueueKey(name)
	if key.Validate() != nil {
		return nil, attune.Errorf(attune.CodeNotFound, "there is no such queue")
	}
	author, err := said.author(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Queues.Stats(ctx, key); err != nil {
		return nil, err
	}
	status, err := change(key, author)
	return &answer[attune.QueueStatus]{Body: status}, err
}
