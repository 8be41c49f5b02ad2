package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// GrantReader reads the log of what queues granted, newest first; pages go by the number of the grant. The log of a queue
// that was never used, or does not exist, is empty.
type GrantReader interface {
	Grants(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.LoggedGrant, error)
}

// Grant is one permission to run, as it was recorded.
type Grant struct {
	Generation  int64                  `json:"generation" doc:"Counts how often the queue was rebuilt from its rows"`
	Number      int64                  `json:"number" doc:"Counts the grants of the queue, from 1, in the order of the decisions"`
	Enforcement attune.EnforcementID   `json:"enforcement_id"`
	Sequence    int64                  `json:"sequence"`
	Lane        int32                  `json:"lane,omitempty" doc:"Of the queue; absent in a queue without lanes"`
	Attempt     int                    `json:"attempt"`
	Limit       int                    `json:"limit" doc:"In force at the decision; together with revision 0: not known"`
	Revision    int64                  `json:"policy_revision" doc:"Of the policy in force at the decision"`
	QueuedAt    time.Time              `json:"queued_at"`
	GrantedAt   time.Time              `json:"granted_at" doc:"The queue's clock, all other times are the database's"`
	RequestedAt time.Time              `json:"requested_at" doc:"From here on it counts as active"`
	ReleasedAt  *time.Time             `json:"released_at,omitempty" doc:"Absent while it holds its slot"`
	Outcome     attune.ExecutionStatus `json:"outcome" doc:"Status of the execution that it allowed"`
}

func showGrant(g attune.LoggedGrant) Grant {
	return Grant{
		Generation: g.Generation, Number: g.Number, Enforcement: g.Enforcement, Sequence: g.Sequence, Lane: g.Lane, Attempt: g.Attempt,
		Limit: g.Limit, Revision: g.Revision, QueuedAt: g.EnqueuedAt, GrantedAt: g.GrantedAt,
		RequestedAt: g.RequestedAt, ReleasedAt: g.ReleasedAt, Outcome: g.Outcome,
	}
}

// Logged is the grant in the domain's words.
func (g Grant) Logged() attune.LoggedGrant {
	return attune.LoggedGrant{
		Grant: attune.Grant{
			Ticket: attune.Ticket{
				Enforcement: g.Enforcement, Sequence: g.Sequence, EnqueuedAt: g.QueuedAt, Attempt: g.Attempt, Lane: g.Lane,
			},
			Generation: g.Generation, Number: g.Number, GrantedAt: g.GrantedAt, Limit: g.Limit, Revision: g.Revision,
		},
		RequestedAt: g.RequestedAt, ReleasedAt: g.ReleasedAt, Outcome: g.Outcome,
	}
}

// queueListInput has the key itself, not embedded: only exported types can be.
type queueListInput struct {
	Paging
	Key string `path:"key" doc:"The queue's key; the default queue of an action has the action's reference as its key"`
}

func (s *Server) registerGrants() {
	register(s, huma.Operation{
		OperationID: "list-queue-grants", Method: http.MethodGet, Path: "/queues/{key}/grants", Tags: []string{"queues"},
		Summary: "List what a queue granted, newest first: whom, when, under which limit, and until when",
		Errors:  []int{http.StatusNotFound},
	}, s.listGrants)
}

func (s *Server) listGrants(ctx context.Context, in *queueListInput) (*answer[List[Grant]], error) {
	return listOfQueue(ctx, s, in, s.deps.Queues.Grants, func(g attune.LoggedGrant) int64 { return g.Number }, showGrant)
}

// listOfQueue answers with a page of what belongs to one queue. Whether there is such a queue is asked only when nothing was
// found.
func listOfQueue[S, T any](
	ctx context.Context, s *Server, in *queueListInput,
	read func(context.Context, attune.QueueKey, attune.Page) ([]S, error), number func(S) int64, show func(S) T,
) (*answer[List[T]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	key := attune.QueueKey(in.Key)
	if key.Validate() != nil {
		return nil, attune.Errorf(attune.CodeNotFound, "there is no such queue")
	}
	found, err := read(ctx, key, page)
	if err == nil && len(found) == 0 {
		_, err = s.deps.Queues.Stats(ctx, key)
	}
	if err != nil {
		return nil, err
	}
	return listOf(found, page, number, show), nil
}
