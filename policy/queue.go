package policy

import (
	"cmp"

	"github.com/attune-go/attune"
)

// OwnQueue returns the policy of the queue that an action owns. Its revision is 0: the database counts revisions.
func OwnQueue(action attune.ActionID, p attune.EffectivePolicy) attune.QueuePolicy {
	return attune.QueuePolicy{
		Limit: p.Limit, Across: p.Across, MaxQueued: p.MaxQueued, Overflow: p.Overflow, QueueTimeout: p.QueueTimeout,
		Actions: []attune.ActionPolicy{{
			Action: action, LimitPerKey: p.LimitPerKey, MaxQueuedPerKey: p.MaxQueuedPerKey, WhenBusy: p.WhenBusy,
			MaxAttempts: p.MaxAttempts, RetryDelay: p.RetryDelay, RetryPlacement: p.RetryPlacement, RetryOn: p.RetryOn,
		}},
	}
}

// InForce returns the policy that a queue obeys as the effective policy of its action. A queue does not know the key, because
// the lanes of its tickets are chosen before: key is that of the effective policy.
func InForce(action attune.ActionID, p attune.QueuePolicy, key *string) attune.EffectivePolicy {
	own := p.Of(action)
	return attune.EffectivePolicy{
		Limit: p.Limit, Key: key, LimitPerKey: own.LimitPerKey, Across: p.Across, WhenBusy: own.WhenBusy,
		MaxQueued: p.MaxQueued, MaxQueuedPerKey: own.MaxQueuedPerKey, Overflow: p.Overflow, QueueTimeout: p.QueueTimeout,
		MaxAttempts: own.MaxAttempts, RetryDelay: own.RetryDelay, RetryPlacement: own.RetryPlacement, RetryOn: own.RetryOn,
	}
}

// DefaultQueue returns the key of the queue that an action owns: the action's reference.
func DefaultQueue(action attune.Ref) attune.QueueKey { return attune.QueueKey(action) }

// UsedQueue returns the key of the queue that an action of the database uses: a shared one, or its own.
func UsedQueue(action attune.Action) attune.QueueKey {
	return cmp.Or(action.Queue, DefaultQueue(action.Ref))
}

// OwnerOf returns the reference of the action that owns a queue. It does not check that the action exists: for a shared queue, there
// is none with this reference.
func OwnerOf(queue attune.QueueKey) attune.Ref { return attune.Ref(queue) }
