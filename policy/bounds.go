package policy

import (
	"encoding/json"
	"fmt"

	"github.com/attune-go/attune"
)

// CheckShared returns a [DocumentError] about the first bound that the policy of a shared queue exceeds: its actions, the starts that
// its rates allow, or its size. The queue carries all of them in its state. The path of the error is the field to change.
func CheckShared(key attune.QueueKey, p attune.QueuePolicy) error {
	if n := len(p.Actions); n > attune.MaxQueueActions {
		return mistake([]string{"queue"}, "policy queue: %d actions join the queue %s: a queue has at most %d",
			n, key, attune.MaxQueueActions)
	}
	starts := startsOf(p.Rates)
	for _, action := range p.Actions {
		starts += startsOf(action.Rates)
	}
	if starts > attune.MaxQueueStarts {
		return mistake([]string{"rate"}, "policy rate: the rates of the queue %s and of its actions that delay have limits of %d in all: "+
			"use at most %d, because the queue remembers as many starts", key, starts, attune.MaxQueueStarts)
	}
	document, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode the policy of queue %q: %w", key, err)
	}
	if n := len(document); n > attune.MaxQueuePolicySize {
		return mistake([]string{"queue"}, "policy queue: the policies of the %d actions in the queue %s have %d bytes in all: "+
			"a queue has room for %d", len(p.Actions), key, n, attune.MaxQueuePolicySize)
	}
	return nil
}

// startsOf returns how many starts the gates of some rates remember.
func startsOf(rates []attune.StartRate) (starts int) {
	for _, rate := range rates {
		starts += rate.Limit
	}
	return starts
}
