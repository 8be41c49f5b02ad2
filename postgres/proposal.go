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
	queue, stored, err := q.documents(ctx, key)
	if err != nil {
		return current, proposed, resolved, wrap("propose policy", err)
	}
	for _, document := range documents {
		if !stored.cover(queue.queueName, document) {
			return current, proposed, resolved, attune.Errorf(attune.CodeInvalid,
				"%s %q does not cover queue %q", document.Scope, document.Ref, key)
		}
	}
	changed := stored.with(slices.Concat(documents, stored.levels)) // of two levels of one rank, the first one wins
	return stored.effective(queue.queueName), changed.effective(queue.queueName), changed.of(queue.queueName), nil
}

// documents returns a queue and the policy documents that cover it, without a lock.
func (q *Queues) documents(ctx context.Context, key attune.QueueKey) (queue lockedQueue, found policies, err error) {
	counted, err := one(ctx, q.db.pool, scanStats, statsSQL, key, policy.OwnerOf(key))
	if err != nil {
		return queue, found, orNotFound(err, "queue %q does not exist", key)
	}
	inForce, err := q.QueuePolicies(ctx, key, attune.Page{Limit: 1})
	if err != nil {
		return queue, found, err
	}
	queue = counted.unlocked(append(inForce, attune.QueuePolicy{})[0])
	found, err = readPolicies(ctx, q.db.pool, []*lockedQueue{&queue}, staying{stored: true})
	return queue, found, err
}

// EffectivePolicy returns the policy that the documents resolve to for an action in the queue that it uses, and the policy that the queue
// obeys. They differ until the queue is told of a change.
func (q *Queues) EffectivePolicy(
	ctx context.Context, key attune.QueueKey, action attune.Ref,
) (policy.Effective, attune.QueuePolicy, error) {
	queue, found, err := q.documents(ctx, key)
	if err != nil {
		return policy.Effective{}, attune.QueuePolicy{}, wrap("read policy of action", err)
	}
	effective := found.effective(queue.queueName)
	if queue.shared() {
		effective = found.index.InShared(action, effective)
	}
	obeyed := queue.policy
	if obeyed.Revision == 0 {
		obeyed = found.of(queue.queueName)
	}
	return effective, obeyed, nil
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
