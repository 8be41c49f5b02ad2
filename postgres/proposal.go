package postgres

import (
	"context"
	"slices"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Propose compares the policy in force for a queue with the one that would be with other documents of people, which it does not store.
// A proposed document wins, field by field, over what a person has set for its scope. A document for a scope that does not cover the
// queue is [attune.CodeInvalid].
func (q *Queues) Propose(
	ctx context.Context, key attune.QueueKey, documents []policy.Level,
) (policy.Proposal, error) {
	queue, stored, err := q.documents(ctx, key)
	if err != nil {
		return policy.Proposal{}, wrap("propose policy", err)
	}
	for _, document := range documents {
		if !stored.cover(queue.queueName, document) {
			return policy.Proposal{}, attune.Errorf(attune.CodeInvalid,
				"%s %q does not cover queue %q", document.Scope, document.Ref, key)
		}
	}
	changed := stored.with(slices.Concat(documents, stored.levels)) // of two levels of one rank, the first one wins
	proposal := policy.Proposal{
		Current: stored.effective(queue.queueName), Proposed: changed.effective(queue.queueName), Resolved: changed.of(queue.queueName),
	}
	for _, member := range stored.membersOf(queue.queueName) {
		proposal.Actions = append(proposal.Actions, policy.ProposedAction{
			Action: member.Action, Ref: member.Ref,
			Current:  stored.ofAction(queue.queueName, member.Ref),
			Proposed: changed.ofAction(queue.queueName, member.Ref),
		})
	}
	return proposal, nil
}

// membersOf returns the actions that use a queue.
func (p policies) membersOf(queue queueName) []policy.Member {
	if queue.shared() {
		return p.members[queue.key]
	}
	return []policy.Member{{Action: queue.ownerID, Ref: queue.owner}}
}

// ofAction resolves the policy of an action in a queue.
func (p policies) ofAction(queue queueName, action attune.Ref) policy.Effective {
	effective := p.effective(queue)
	if queue.shared() {
		return p.index.InShared(action, effective)
	}
	return effective
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
	effective := found.ofAction(queue.queueName, action)
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
