package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// QueueController makes manual changes of queues and records each with its author. A change that is impossible, or that would
// change nothing, is an [attune.CodeConflict] error.
type QueueController interface {
	SetMode(ctx context.Context, key attune.QueueKey, mode attune.QueueMode, author attune.Author) (attune.QueueStatus, error)
	// SetLimit overrides the limit of the policy. A nil limit removes the override.
	SetLimit(ctx context.Context, key attune.QueueKey, limit *attune.LimitOverride, author attune.Author) (attune.QueueStatus, error)
	// SetLaneLimit overrides the limit of a lane, which it names by its number. A nil limit removes the override.
	SetLaneLimit(
		ctx context.Context, key attune.QueueKey, lane int32, limit *attune.LimitOverride, author attune.Author,
	) (attune.QueueStatus, error)
	// CancelByPerson takes a waiting ticket out of its queue.
	CancelByPerson(ctx context.Context, key attune.QueueKey, ticket attune.Ticket, author attune.Author) (attune.QueueStatus, error)
}

// LimitChange is the body of PUT /api/v1/queues/{key}/limit.
type LimitChange struct {
	Attribution
	Limit int        `json:"limit" minimum:"0" maximum:"5000" doc:"How many enforcements may hold a slot at once; 0 stops all grants"`
	Until *time.Time `json:"until,omitempty" doc:"When the override ends; without it, the override stays until it is cleared"`
}

type changeQueueInput struct {
	Key  string `path:"key" doc:"The queue's key"`
	Body *Attribution
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
		{"pause", "Pause a queue: it accepts enforcements and grants none until it is resumed", attune.QueuePaused},
		{"resume", "Resume a queue that is paused or draining", attune.QueueOpen},
		{"drain", "Drain a queue: it grants the waiting enforcements and rejects new ones until it is resumed", attune.QueueDraining},
	}
	for _, m := range modes {
		register(s, auth.RightOperate, huma.Operation{
			OperationID: m.verb + "-queue", Method: http.MethodPost, Path: "/queues/{key}/" + m.verb, Tags: []string{"queues"},
			Summary: m.summary, Errors: []int{http.StatusNotFound, http.StatusConflict},
		}, func(ctx context.Context, in *changeQueueInput) (*response[attune.QueueStatus], error) {
			return s.changeQueue(ctx, in.Key, in.Body, func(key attune.QueueKey, author attune.Author) (attune.QueueStatus, error) {
				return s.deps.Control.SetMode(ctx, key, m.mode, author)
			})
		})
	}
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "set-queue-limit", Method: http.MethodPut, Path: "/queues/{key}/limit", Tags: []string{"queues"},
		Summary: "Override the policy's limit of a queue", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.setQueueLimit)
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "clear-queue-limit", Method: http.MethodPost, Path: "/queues/{key}/limit/clear", Tags: []string{"queues"},
		Summary: "Remove the override, so that the policy's limit applies again", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *changeQueueInput) (*response[attune.QueueStatus], error) {
		return s.changeQueue(ctx, in.Key, in.Body, func(key attune.QueueKey, author attune.Author) (attune.QueueStatus, error) {
			return s.deps.Control.SetLimit(ctx, key, nil, author)
		})
	})
	s.registerLaneLimits()
}

func (s *Server) setQueueLimit(ctx context.Context, in *limitQueueInput) (*response[attune.QueueStatus], error) {
	limit, err := overrideOf(in.Body.Limit, in.Body.Until)
	if err != nil {
		return nil, err
	}
	return s.changeQueue(ctx, in.Key, &in.Body.Attribution, func(key attune.QueueKey, author attune.Author) (attune.QueueStatus, error) {
		return s.deps.Control.SetLimit(ctx, key, limit, author)
	})
}

// overrideOf returns a manual limit from the members of a body.
func overrideOf(number int, until *time.Time) (*attune.LimitOverride, error) {
	limit := &attune.LimitOverride{Limit: number}
	if until != nil {
		if until.IsZero() { // would stand for no end
			return nil, attune.Errorf(attune.CodeInvalid, "body.until: use a time in the future")
		}
		limit.Until = *until
	}
	return limit, limit.Validate()
}

// changeQueue makes a manual change. It refuses a queue that does not exist, because the change would create the queue. The
// queue of an action exists before its first use.
func (s *Server) changeQueue(
	ctx context.Context, path string, attribution *Attribution, change func(attune.QueueKey, attune.Author) (attune.QueueStatus, error),
) (*response[attune.QueueStatus], error) {
	key, err := queueKey(path)
	if err != nil {
		return nil, err
	}
	author, err := attribution.author(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.deps.Queues.Stats(ctx, key); err != nil {
		return nil, err
	}
	status, err := change(key, author)
	return &response[attune.QueueStatus]{Body: status}, err
}
