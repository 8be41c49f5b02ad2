package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// GrantReader reads the grant logs of queues, newest first. Pages are ordered by the number of the grant. The log of a queue
// that was never used, or does not exist, is empty.
type GrantReader interface {
	Grants(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.LoggedGrant, error)
}

// Grant is a recorded grant.
type Grant struct {
	Generation  int64                  `json:"generation" doc:"How many times the queue had been rebuilt from its rows"`
	Number      int64                  `json:"number" doc:"Number of the grant in its queue, from 1, in the order of the decisions"`
	Enforcement attune.EnforcementID   `json:"enforcement_id"`
	Action      attune.ActionID        `json:"action_id"`
	Sequence    int64                  `json:"sequence"`
	Lane        int32                  `json:"lane,omitempty" doc:"Lane of the queue; absent in a queue without lanes"`
	Attempt     int                    `json:"attempt"`
	Limit       int                    `json:"limit" doc:"Limit in force at the decision; not known when policy_revision is 0"`
	Revision    int64                  `json:"policy_revision" doc:"Revision of the policy in force at the decision"`
	Freed       []int64                `json:"freed" doc:"Sequences whose slots the queue had seen become free since its previous grant"`
	Changes     int64                  `json:"changes" doc:"Manual changes that the queue had made before the decision"`
	QueuedAt    time.Time              `json:"queued_at"`
	GrantedAt   time.Time              `json:"granted_at" doc:"By the queue's clock; all other times are by the database's clock"`
	RequestedAt time.Time              `json:"requested_at" doc:"When the slot began to count as active"`
	ReleasedAt  *time.Time             `json:"released_at,omitempty" doc:"When the slot was given back; absent while it is held"`
	Outcome     attune.ExecutionStatus `json:"outcome" doc:"Status of the execution that the grant allowed"`
}

func showGrant(g attune.LoggedGrant) Grant {
	return Grant{
		Generation: g.Generation, Number: g.Number, Enforcement: g.Enforcement, Action: g.Action, Sequence: g.Sequence, Lane: g.Lane,
		Attempt: g.Attempt, Limit: g.Limit, Revision: g.Revision, Freed: g.Freed, Changes: g.Changes,
		QueuedAt: g.EnqueuedAt, GrantedAt: g.GrantedAt,
		RequestedAt: g.RequestedAt, ReleasedAt: g.ReleasedAt, Outcome: g.Outcome,
	}
}

// Logged converts the grant to the type of the domain.
func (g Grant) Logged() attune.LoggedGrant {
	return attune.LoggedGrant{
		Grant: attune.Grant{
			Ticket: attune.Ticket{
				Enforcement: g.Enforcement, Action: g.Action, Sequence: g.Sequence, EnqueuedAt: g.QueuedAt, Attempt: g.Attempt,
				Lane: g.Lane,
			},
			Generation: g.Generation, Number: g.Number, GrantedAt: g.GrantedAt, Limit: g.Limit, Revision: g.Revision, Freed: g.Freed,
			Changes: g.Changes,
		},
		RequestedAt: g.RequestedAt, ReleasedAt: g.ReleasedAt, Outcome: g.Outcome,
	}
}

// queueListInput repeats the key instead of embedding it: the framework reads only embedded types that are exported.
type queueListInput struct {
	Paging
	Key string `path:"key" doc:"The queue's key; the default queue of an action has the action's reference as its key"`
}

func (s *Server) registerGrants() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-queue-grants", Method: http.MethodGet, Path: "/queues/{key}/grants", Tags: []string{"queues"},
		Summary: "List the grants of a queue, newest first, with their limits and times",
		Errors:  []int{http.StatusNotFound},
	}, s.listGrants)
}

func (s *Server) listGrants(ctx context.Context, in *queueListInput) (*response[List[Grant]], error) {
	return listOfQueue(ctx, s, in, s.deps.Queues.Grants, func(g attune.LoggedGrant) int64 { return g.Number }, showGrant)
}

// listOfQueue returns a page of a list of one queue. Only when the page is empty does it check that the queue exists.
func listOfQueue[S, T any](
	ctx context.Context, s *Server, in *queueListInput,
	read func(context.Context, attune.QueueKey, attune.Page) ([]S, error), number func(S) int64, show func(S) T,
) (*response[List[T]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	key, err := queueKey(in.Key)
	if err != nil {
		return nil, err
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
