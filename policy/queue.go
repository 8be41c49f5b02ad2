package policy

import "github.com/attune-go/attune"

// QueueOf chooses the queue in which an enforcement of an action waits, and the text of its lane there; a queue without
// lanes has an empty text. The choice is made once, when the event is recorded, and kept, whatever policies say later.
//
// Every action has a queue of its own, without lanes.
func QueueOf(action attune.Action) (queue attune.QueueKey, lane string) {
	return DefaultQueue(action.Ref), ""
}

// DefaultQueue is the queue that an action owns. Its key is the action's reference.
func DefaultQueue(action attune.Ref) attune.QueueKey { return attune.QueueKey(action) }

// OwnerOf is the action that owns the queue with this key, if there is such an action.
func OwnerOf(queue attune.QueueKey) attune.Ref { return attune.Ref(queue) }
