package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// QueueReader counts queues. All numbers of one answer are of one instant.
type QueueReader interface {
	// Stats returns the counts of one queue: zeros before the first use of an action's queue. Any other queue is an
	// [attune.CodeNotFound] error.
	Stats(ctx context.Context, key attune.QueueKey) (attune.QueueStats, error)
	// List returns the queues that were used, by id, highest first.
	List(ctx context.Context, page attune.Page) ([]attune.QueueStats, error)
}

func (s *Server) registerQueues() {
	register(s, huma.Operation{
		OperationID: "list-queues", Method: http.MethodGet, Path: "/queues", Tags: []string{"queues"},
		Summary: "List the queues that were used",
	}, s.listQueues)
	register(s, huma.Operation{
		OperationID: "get-queue", Method: http.MethodGet, Path: "/queues/{key}", Tags: []string{"queues"},
		Summary: "Look at one queue: its counts, limit, holders, the first in line, and how fast it moves",
		Errors:  []int{http.StatusNotFound},
	}, s.getQueue)
	register(s, huma.Operation{
		OperationID: "get-action-queue-stats", Method: http.MethodGet, Path: "/actions/{ref}/queue-stats", Tags: []string{"queues"},
		Summary: "Count the queue of an action; zeros before its first use", Errors: []int{http.StatusNotFound},
	}, s.getQueueStats)
}

func (s *Server) listQueues(ctx context.Context, in *Paging) (*answer[List[attune.QueueStats]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Queues.List(ctx, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(q attune.QueueStats) int64 { return int64(q.ID) }, itself[attune.QueueStats]), nil
}

func (s *Server) getQueueStats(ctx context.Context, in *RefPath) (*answer[attune.QueueStats], error) {
	action, err := s.action(ctx, *in)
	if err != nil {
		return nil, err
	}
	queue, _ := policy.QueueOf(action)
	stats, err := s.deps.Queues.Stats(ctx, queue)
	return &answer[attune.QueueStats]{Body: stats}, err
}
