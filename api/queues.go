package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/policy"
)

// QueueReader reads the counts of queues and of their lanes. All counts of one call are of one instant.
type QueueReader interface {
	// Stats returns the counts of one queue. Before its first use, an action's queue has zeros, and any other queue is an
	// [attune.CodeNotFound] error.
	Stats(ctx context.Context, key attune.QueueKey) (attune.QueueStats, error)
	// List returns the queues that have been used, by id, highest first.
	List(ctx context.Context, page attune.Page) ([]attune.QueueStats, error)
	// Lanes returns a page of the counts of a queue's lanes. A queue that has no lanes, was never used, or does not exist has an
	// empty list.
	Lanes(ctx context.Context, key attune.QueueKey, page attune.LanePage) ([]attune.LaneStats, error)
	// Lane returns the number of the lane with a name or, if the name is empty, with a number. A lane that does not exist is an
	// [attune.CodeNotFound] error.
	Lane(ctx context.Context, key attune.QueueKey, name attune.LaneName, number int32) (int32, error)
}

func (s *Server) registerQueues() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-queues", Method: http.MethodGet, Path: "/queues", Tags: []string{"queues"},
		Summary: "List the counts of all queues that have been used",
	}, s.listQueues)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-action-queue-stats", Method: http.MethodGet, Path: "/actions/{ref}/queue-stats", Tags: []string{"queues"},
		Summary: "Read the counts of the queue that an action uses, with all actions of a shared queue; zeros before its first use",
		Errors:  []int{http.StatusNotFound},
	}, s.getQueueStats)
}

func (s *Server) listQueues(ctx context.Context, in *Paging) (*response[List[attune.QueueStats]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Queues.List(ctx, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(q attune.QueueStats) int64 { return int64(q.ID) }, identity[attune.QueueStats]), nil
}

func (s *Server) getQueueStats(ctx context.Context, in *RefPath) (*response[attune.QueueStats], error) {
	action, err := s.action(ctx, *in)
	if err != nil {
		return nil, err
	}
	queue := policy.UsedQueue(action)
	stats, err := s.deps.Queues.Stats(ctx, queue)
	return &response[attune.QueueStats]{Body: stats}, err
}
