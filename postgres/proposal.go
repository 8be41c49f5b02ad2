package postgres

import (
	"context"
	"slices"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Propose returns the policy in force for a queue, and the one that would be with other documents of people, which it does not store.
// A proposed document wins, field by field, over what a person has set for its scope. A document for a scope that does not cover the
// queue is [attune.CodeInvalid].
func (q *Queues) Propose(
	ctx context.Context, key attune.QueueKey, documents []policy.Level,
) (current, proposed policy.Effective, resolved attune.QueuePolicy, err error) {
	stats, err := q.Stats(ctx, key)
	if err != nil {
		return current, proposed, resolved, err
	}
	name := queueName{key: key, owner: stats.Action, ownerID: stats.ActionID}
	stored, err := readLevels(ctx, q.db.pool, name)
	if err != nil {
		return current, proposed, resolved, wrap("read policies", err)
	}
	for _, document := range documents {
		if !name.covered(document) {
			return current, proposed, resolved, attune.Errorf(attune.CodeInvalid,
				"%s %q does not cover queue %q", document.Scope, document.Ref, key)
		}
	}
	// Of two levels of one rank, the first one wins.
	current, proposed = stored.resolve(name), levels(slices.Concat(documents, stored)).resolve(name)
	resolved = policy.OwnQueue(name.ownerID, proposed.Policy)
	resolved.Rates, resolved.Actions[0].Rates = proposed.Gates.Starts()
	return current, proposed, resolved, nil
}

// covered reports whether a document is one of the queue.
func (n queueName) covered(document policy.Level) bool {
	refs := map[policy.Scope]string{
		policy.ScopeAction: string(n.owner), policy.ScopeQueue: string(n.key), policy.ScopePack: n.pack(), policy.ScopeGlobal: "",
	}
	ref, known := refs[document.Scope]
	return known && ref == document.Ref
}
