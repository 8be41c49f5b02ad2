package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// ChangeReader reads the manual changes of queues, newest first; pages go by the number of the change. A queue without
// manual changes has an empty list.
type ChangeReader interface {
	Changes(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueueChange, error)
}

// QueueChange is a manual change of a queue.
type QueueChange struct {
	Number  int64     `json:"number" doc:"Counts the changes of the queue, from 1"`
	Request string    `json:"request_id" doc:"The request that asked for the change; one change each"`
	At      time.Time `json:"at" doc:"The queue's clock"`
	attune.Author
	Kind        attune.QueueChangeKind `json:"kind" enum:"mode,limit,cancel"`
	From        string                 `json:"from" doc:"What it was"`
	To          string                 `json:"to" doc:"What it is since; of a late cancel, the status that the enforcement had"`
	Enforcement attune.EnforcementID   `json:"enforcement_id,omitempty" doc:"The one that was cancelled"`
}

func showChange(c attune.QueueChange) QueueChange { return QueueChange(c) }

func (s *Server) registerChanges() {
	register(s, huma.Operation{
		OperationID: "list-queue-changes", Method: http.MethodGet, Path: "/queues/{key}/changes", Tags: []string{"queues"},
		Summary: "List what people did to a queue by hand, newest first", Errors: []int{http.StatusNotFound},
	}, s.listChanges)
}

func (s *Server) listChanges(ctx context.Context, in *queueListInput) (*answer[List[QueueChange]], error) {
	return listOfQueue(ctx, s, in, s.deps.Queues.Changes, func(c attune.QueueChange) int64 { return c.Number }, showChange)
}
