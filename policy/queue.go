package policy

import "github.com/attune-go/attune"

// QueueOf chooses the queue in which an enforcement of an action waits, and the name of its lane there. The name is empty for a
// queue without lanes. The caller chooses once, when it records the event: a later change of a policy does not move the
// enforcement.
//
// Every action has its own queue, without lanes.
func QueueOf(action attune.Action) (queue attune.QueueKey, lane string) {
	return DefaultQueue(action.Ref), ""
}

// DefaultQueue returns the key of the queue that an action owns: the action's reference.
func DefaultQueue(action attune.Ref) attune.QueueKey { return attune.QueueKey(action) }

// OwnerOf returns the reference of the action that owns a queue. It does not check that the action exists.
func OwnerOf(queue attune.QueueKey) attune.Ref { return attune.Ref(queue) }
