package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Lane is the part of a queue whose enforcements have the same value of the policy's key.
type Lane struct {
	Number   int32      `json:"number" doc:"Number of the lane in its queue, from 1"`
	Key      string     `json:"key" doc:"Text of the key's value; (none) when the key has no value"`
	Waiting  int64      `json:"waiting" doc:"Enforcements in line"`
	Active   int64      `json:"active" doc:"Slots held"`
	Granted  int64      `json:"granted" doc:"Grants so far"`
	OldestAt *time.Time `json:"oldest_enqueued_at,omitempty" doc:"Since when its first enforcement waits; absent when none waits"`
}

func showLane(lane attune.LaneStats) Lane {
	return Lane{
		Number: lane.Number, Key: lane.Name.Text(), Waiting: lane.Waiting, Active: lane.Active, Granted: lane.Granted,
		OldestAt: lane.OldestAt,
	}
}

// keyText returns the text of the key's value that chose a lane, or nil in a queue without lanes.
func keyText(lane attune.LaneName) *string {
	if lane == "" {
		return nil
	}
	return new(lane.Text())
}

func (s *Server) registerLanes() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-queue-lanes", Method: http.MethodGet, Path: "/queues/{key}/lanes", Tags: []string{"queues"},
		Summary: "List the lanes of a queue with their counts, first the lane with the enforcement that waits longest",
		Errors:  []int{http.StatusNotFound},
	}, s.listLanes)
}

func (s *Server) listLanes(ctx context.Context, in *queueListInput) (*response[List[Lane]], error) {
	page, err := in.lanePage()
	if err != nil {
		return nil, err
	}
	key, err := queueKey(in.Key)
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Queues.Lanes(ctx, key, page)
	if err == nil && len(found) == 0 {
		_, err = s.deps.Queues.Stats(ctx, key)
	}
	if err != nil {
		return nil, err
	}
	list := List[Lane]{Items: make([]Lane, len(found))}
	for i, lane := range found {
		list.Items[i] = showLane(lane)
	}
	if len(found) == page.Limit {
		list.Next = laneCursor(found[len(found)-1].Next(page.Limit))
	}
	return &response[List[Lane]]{Body: list}, nil
}

// lanePage reads a cursor of laneCursor.
func (in Paging) lanePage() (attune.LanePage, error) {
	page := attune.LanePage{Limit: attune.Page{Limit: int(in.Limit)}.Normalize().Limit}
	if in.Cursor == "" {
		return page, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(text), laneCursorFormat, &page.Head, &page.Number)
	}
	if err != nil || page.Head < 0 || page.Number < 0 || laneCursor(page) != in.Cursor {
		return attune.LanePage{}, errCursor()
	}
	return page, nil
}

// laneCursorFormat is the version of the cursor's content.
const laneCursorFormat = "lanes:%d:%d"

func laneCursor(page attune.LanePage) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, laneCursorFormat, page.Head, page.Number))
}
