package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// QueueReader counts queues. All numbers of one answer are of one instant.
type QueueReader interface {
	// Stats returns the counts of one queue; one that was never used is an [attune.CodeNotFound] error.
	Stats(ctx context.Context, key attune.QueueKey) (attune.QueueStats, error)
	// ActionStats returns the counts of an action's queue: zeros before its first use, [attune.CodeNotFound] for an unknown
	// action.
	ActionStats(ctx context.Context, ref attune.Ref) (attune.QueueStats, error)
	// List returns the queues that were used, by action id, highest first.
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
	return listOf(found, page, func(q attune.QueueStats) int64 { return int64(q.ActionID) }, itself[attune.QueueStats]), nil
}

func (s *Server) getQueueStats(ctx context.Context, in *RefPath) (*answer[attune.QueueStats], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	stats, err := s.deps.Queues.ActionStats(ctx, in.Ref)
	return &answer[attune.QueueStats]{Body: stats}, err
}
