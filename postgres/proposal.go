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
	counted, err := one(ctx, q.db.pool, scanStats, statsSQL, key, policy.OwnerOf(key))
	if err != nil {
		return current, proposed, resolved, wrap("propose policy", orNotFound(err, "queue %q does not exist", key))
	}
	inForce, err := q.QueuePolicies(ctx, key, attune.Page{Limit: 1})
	if err != nil {
		return current, proposed, resolved, err
	}
	queue := counted.unlocked(append(inForce, attune.QueuePolicy{})[0])
	stored, err := readPolicies(ctx, q.db.pool, []*lockedQueue{&queue}, staying{stored: true})
	if err != nil {
		return current, proposed, resolved, wrap("propose policy", err)
	}
	for _, document := range documents {
		if !stored.cover(queue.queueName, document) {
			return current, proposed, resolved, attune.Errorf(attune.CodeInvalid,
				"%s %q does not cover queue %q", document.Scope, document.Ref, key)
		}
	}
	changed := stored // of two levels of one rank, the first one wins
	changed.levels = slices.Concat(documents, stored.levels)
	return stored.effective(queue.queueName), changed.effective(queue.queueName), changed.of(queue.queueName), nil
}

// cover reports whether a document is one of a queue, of its pack, or of an action in it.
func (p policies) cover(queue queueName, document policy.Level) bool {
	actions := []attune.Ref{queue.owner}
	for _, member := range p.members[queue.key] {
		actions = append(actions, member.Ref)
	}
	isOf := func(action attune.Ref) bool { return action.Pack() == document.Ref }
	switch document.Scope {
	case policy.ScopeGlobal:
		return document.Ref == ""
	case policy.ScopePack:
		return attune.Ref(queue.key).Pack() == document.Ref || slices.ContainsFunc(actions, isOf)
	case policy.ScopeQueue:
		return string(queue.key) == document.Ref
	default:
		return document.Scope == policy.ScopeAction && slices.Contains(actions, attune.Ref(document.Ref))
	}
}
