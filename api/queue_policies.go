package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// QueuePolicyReader reads the policies that queues have obeyed, newest first. Pages are ordered by revision. A queue that was
// never used has an empty list.
type QueuePolicyReader interface {
	QueuePolicies(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueuePolicy, error)
}

// QueueJournals read what queues have done and obeyed.
type QueueJournals interface {
	GrantReader
	ChangeReader
	QueuePolicyReader
	StartReader
}

func (s *Server) registerQueuePolicies() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-queue-policies", Method: http.MethodGet, Path: "/queues/{key}/policies", Tags: []string{"queues"},
		Summary: "List the policies that a queue has obeyed, newest first", Errors: []int{http.StatusNotFound},
	}, s.listQueuePolicies)
}

func (s *Server) listQueuePolicies(ctx context.Context, in *queueListInput) (*response[List[attune.QueuePolicy]], error) {
	return listOfQueue(ctx, s, in, s.deps.Queues.QueuePolicies, func(p attune.QueuePolicy) int64 { return p.Revision },
		func(p attune.QueuePolicy) attune.QueuePolicy { return p })
}
