package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// ChangeReader reads the manual changes of queues, newest first. Pages are ordered by the number of the change. A queue
// without manual changes has an empty list.
type ChangeReader interface {
	Changes(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueueChange, error)
}

// QueueChange is a manual change of a queue.
type QueueChange struct {
	Number  int64     `json:"number" doc:"Number of the change in its queue, from 1"`
	Request string    `json:"request_id" doc:"Id of the request that made the change; each request makes one change"`
	At      time.Time `json:"at" doc:"When the change was made, by the queue's clock"`
	attune.Author
	Kind        attune.QueueChangeKind `json:"kind" enum:"mode,limit,cancel,lane_limit"`
	From        string                 `json:"from" doc:"Value before the change"`
	To          string                 `json:"to" doc:"Value after the change; for a cancel that came too late, the enforcement's status"`
	Enforcement attune.EnforcementID   `json:"enforcement_id,omitempty" doc:"The enforcement that a cancel names"`
	Lane        int32                  `json:"lane,omitempty" doc:"The number of the lane whose limit changed"`
}

func showChange(c attune.QueueChange) QueueChange { return QueueChange(c) }

func (s *Server) registerChanges() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-queue-changes", Method: http.MethodGet, Path: "/queues/{key}/changes", Tags: []string{"queues"},
		Summary: "List the manual changes of a queue, newest first", Errors: []int{http.StatusNotFound},
	}, s.listChanges)
}

func (s *Server) listChanges(ctx context.Context, in *queueListInput) (*response[List[QueueChange]], error) {
	return listOfQueue(ctx, s, in, s.deps.Queues.Changes, func(c attune.QueueChange) int64 { return c.Number }, showChange)
}
