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
	Key      string     `json:"key" doc:"Text of the key's value; (none) when the key has no value; the reference of an action without a key"`
	Action   attune.Ref `json:"action_ref,omitempty" doc:"In a shared queue, the action without a key whose lane this is"`
	Waiting  int64      `json:"waiting" doc:"Enforcements in line"`
	Active   int64      `json:"active" doc:"Slots held"`
	Granted  int64      `json:"granted" doc:"Grants so far"`
	OldestAt *time.Time `json:"oldest_enqueued_at,omitempty" doc:"Since when its first enforcement waits; absent when none waits"`
	Limit    *int       `json:"limit,omitempty" doc:"Manual limit of the lane, in place of limit_per_key; absent without one"`
	Until    *time.Time `json:"until,omitempty" doc:"When the manual limit ends; absent when it stays until it is cleared"`
}

func showLane(lane attune.LaneStats) Lane {
	shown := Lane{
		Number: lane.Number, Key: lane.Name.Text(), Action: lane.Action, Waiting: lane.Waiting, Active: lane.Active,
		Granted: lane.Granted, OldestAt: lane.OldestAt, Limit: lane.Limit, Until: lane.Until,
	}
	if lane.Action != "" {
		shown.Key = string(lane.Action)
	}
	return shown
}

// keyText returns the text of the key's value that chose a lane, or nil if no key chose it.
func keyText(lane attune.LaneName) *string {
	if _, ofAction := lane.Action(); lane == "" || ofAction {
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
