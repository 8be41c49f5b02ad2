package replay

import (
	"fmt"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// author returns the author of the changes in a replay: the state wants one.
func author() attune.Author {
	return attune.Author{Principal: attune.Principal{Name: "replay", Method: attune.AuthSystem}}
}

// requestOf returns a request for a recorded change of the mode or the limit, and false for any other text.
func requestOf(change attune.QueueChange) (attune.ChangeRequest, bool) {
	request := attune.ChangeRequest{ID: fmt.Sprint(change.Number), Author: author(), Kind: change.Kind}
	switch change.Kind {
	case attune.ChangeMode:
		request.Mode = attune.QueueMode(change.To)
		return request, request.Mode.Validate() == nil
	case attune.ChangeLimit, attune.ChangeLaneLimit:
		var ok bool
		request.Lane = change.Lane
		request.Limit, ok = LimitOf(change.To)
		return request, ok
	default:
		return request, false
	}
}

// LimitOf returns the manual limit that a change has set, from its text: see [attune.LimitOverride.String]. It is nil if the limit of
// the policy is in force. It is false for any other text.
func LimitOf(text string) (*attune.LimitOverride, bool) {
	if text == "by policy" { // of a lane
		return nil, true
	}
	number, until, ends := strings.Cut(text, " until ")
	var limit attune.LimitOverride
	var by string
	if n, err := fmt.Sscanf(number, "%d by %s", &limit.Limit, &by); n != 2 || err != nil {
		return nil, false
	}
	switch {
	case by == "policy":
		return nil, true
	case !ends:
		return &limit, true
	}
	at, err := time.Parse(time.RFC3339, until)
	limit.Until = at
	return &limit, err == nil
}
