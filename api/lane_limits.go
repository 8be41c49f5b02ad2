package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// LaneChoice names a lane of a queue in the body of a change, by its key or by its number.
type LaneChoice struct {
	Key    *string `json:"key,omitempty" maxLength:"256" doc:"The lane by the text of the key's value"`
	Number int32   `json:"number,omitempty" minimum:"0" doc:"The lane by its number, such as that of (none) or of an action without a key"`
}

// LaneLimitChange is the body of PUT /api/v1/queues/{key}/lanes/limit.
type LaneLimitChange struct {
	Attribution
	LaneChoice
	Limit int        `json:"limit" minimum:"0" maximum:"5000" doc:"How many enforcements of the lane may hold a slot at once; 0 stops its grants"`
	Until *time.Time `json:"until,omitempty" doc:"When the limit ends; without it, the limit stays until it is cleared"`
}

// ClearLaneLimit is the body of POST /api/v1/queues/{key}/lanes/limit/clear.
type ClearLaneLimit struct {
	Attribution
	LaneChoice
}

type limitLaneInput struct {
	Key  string `path:"key" doc:"The queue's key"`
	Body LaneLimitChange
}

type clearLaneInput struct {
	Key  string `path:"key" doc:"The queue's key"`
	Body ClearLaneLimit
}

func (s *Server) registerLaneLimits() {
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "set-lane-limit", Method: http.MethodPut, Path: "/queues/{key}/lanes/limit", Tags: []string{"queues"},
		Summary: "Override the limit of one lane, in place of the policy's limit_per_key", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *limitLaneInput) (*response[attune.QueueStatus], error) {
		limit, err := overrideOf(in.Body.Limit, in.Body.Until)
		if err != nil {
			return nil, err
		}
		return s.changeLane(ctx, in.Key, in.Body.Attribution, in.Body.LaneChoice, limit)
	})
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "clear-lane-limit", Method: http.MethodPost, Path: "/queues/{key}/lanes/limit/clear", Tags: []string{"queues"},
		Summary: "Remove the override of a lane, so that the policy's limit_per_key applies again",
		Errors:  []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *clearLaneInput) (*response[attune.QueueStatus], error) {
		return s.changeLane(ctx, in.Key, in.Body.Attribution, in.Body.LaneChoice, nil)
	})
}

// changeLane sets or clears the manual limit of a lane that exists.
func (s *Server) changeLane(
	ctx context.Context, path string, attribution Attribution, lane LaneChoice, limit *attune.LimitOverride,
) (*response[attune.QueueStatus], error) {
	return s.changeQueue(ctx, path, &attribution, func(key attune.QueueKey, author attune.Author) (attune.QueueStatus, error) {
		name, err := lane.name()
		if err != nil {
			return attune.QueueStatus{}, err
		}
		number, err := s.deps.Queues.Lane(ctx, key, name, lane.Number)
		if err != nil {
			return attune.QueueStatus{}, err
		}
		return s.deps.Control.SetLaneLimit(ctx, key, number, limit, author)
	})
}

// name returns the name of a lane that is chosen by its key; empty for a lane that is chosen by its number.
func (c LaneChoice) name() (attune.LaneName, error) {
	if (c.Key == nil) == (c.Number == 0) {
		return "", attune.Errorf(attune.CodeInvalid, "body: name the lane by its key or by its number")
	}
	if c.Key == nil {
		return "", nil
	}
	name := attune.LaneOf(*c.Key)
	if err := name.Validate(); err != nil {
		return "", attune.Errorf(attune.CodeInvalid, "body.key: %s", err)
	}
	return name, nil
}
