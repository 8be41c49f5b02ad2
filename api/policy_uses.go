package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// policyUses are the actions that the expressions of a document have to fit. joined are the expressions of the shared queue that the
// document names, which have to fit the same actions.
type policyUses struct {
	actions []policy.KeyUse
	queue   attune.QueueKey
	joined  attune.Policy
}

// usesOf reads the actions of a scope, if the body of a change has expressions or joins a shared queue.
func (s *Server) usesOf(ctx context.Context, in PolicyPath, body json.RawMessage) (found policyUses, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return found, nil //nolint:nilerr // the decoder of documents reports a wrong body
	}
	if members["key"] == nil && members["rate"] == nil && members["quota"] == nil && members["queue"] == nil {
		return found, nil
	}
	if found.actions, err = s.deps.Policies.KeyUses(ctx, in.Scope, in.Ref); err != nil {
		return found, err
	}
	queue, named := queueIn(members["queue"])
	if !named || string(queue) == in.Ref { // the action leaves the queue of its pack
		return found, nil
	}
	documents, err := s.deps.Policies.Documents(ctx, policy.ScopeQueue, string(queue))
	if attune.CodeOf(err) == attune.CodeNotFound {
		return found, nil // the change itself is refused
	}
	found.queue, found.joined = queue, documents.Expressions()
	return found, err
}

// queueIn returns the queue that a member of a document names; false for another value, which the decoder of documents judges.
func queueIn(member json.RawMessage) (queue attune.QueueKey, named bool) {
	err := json.Unmarshal(member, &queue)
	return queue, err == nil && queue.Validate() == nil
}

// checkJoined expects the expressions of the shared queue to fit the actions that join it. The key of the document is used instead of
// that of the queue.
func (s *Server) checkJoined(document attune.Policy, uses policyUses) error {
	if document.Key != nil {
		uses.joined.Key = nil
	}
	err := s.deps.CheckPolicy(uses.joined, false, uses.actions)
	found, wrong := policy.MistakesOf(err)
	if !wrong {
		return err
	}
	for i := range found {
		found[i] = policy.Mistake{
			Path:    []string{"queue"},
			Message: fmt.Sprintf("policy queue: an expression of the queue %s does not fit: %s", uses.queue, found[i].Message),
		}
	}
	return &policy.DocumentError{Mistakes: found}
}

// draft returns a new document. A key has no white space around it, and an end is in the future. The expressions of the document have
// to fit their uses, and so have those of the shared queue that it names.
func (s *Server) draft(
	in PolicyPath, document attune.Policy, until *time.Time, now time.Time, uses policyUses,
) (*policy.Draft, error) {
	if err := policy.CheckGatesOf(in.Scope, document); err != nil {
		return nil, err
	}
	if err := s.deps.CheckPolicy(document, in.Scope == policy.ScopeAction, uses.actions); err != nil {
		return nil, err
	}
	if err := s.checkJoined(document, uses); err != nil {
		return nil, err
	}
	if until != nil && !until.After(now) {
		return nil, invalidProblem([]ProblemError{{Location: "body.until", Message: "use a time in the future"}})
	}
	if document.Key != nil {
		document.Key = new(strings.TrimSpace(*document.Key))
	}
	return &policy.Draft{Policy: document, Until: until}, nil
}
