package policy

import (
	"cmp"
	"slices"

	"github.com/attune-go/attune"
)

// This file decides the policies of shared queues, which actions of any pack join. The rules:
//
//   - The queue has a limit of its own, and the fields of [Field].OfQueue. The limit comes from the documents of the queue, or is
//     the default. The other fields come from the queue, its pack, everything, or the default.
//   - The limit of an action in the queue comes from the documents of the action only. The limit of a pack or of everything is a
//     default for the queue that each action owns, so it does not bound the actions of a shared queue.
//   - All other fields of an action come from the action, the queue, the pack of the action, everything, or the default.

// Member is an action that uses a shared queue.
type Member struct {
	Action attune.ActionID
	Ref    attune.Ref
}

// QueueOf returns the key of the queue that an action uses by the documents in levels: see [Index.QueueOf].
func QueueOf(action attune.Ref, levels []Level) attune.QueueKey {
	return NewIndex(levels).QueueOf(action)
}

// Of returns the queue that an action uses, and the policy of the action in it, by the documents in levels. Those that do not cover
// the action or its queue decide nothing. The default of across, in a shared queue, is that for the action alone: see [Index.OfShared].
func Of(action attune.Ref, levels []Level) (attune.QueueKey, Effective) {
	documents := NewIndex(levels)
	key := documents.QueueOf(action)
	if key == DefaultQueue(action) {
		return key, documents.OfOwn(action)
	}
	return key, documents.InShared(action, documents.OfShared(key, []Member{{Ref: action}}))
}

// QueueOf returns the key of the queue that an action uses. An action leaves the queue of its pack with its own reference as the name
// of the queue.
func (x Index) QueueOf(action attune.Ref) attune.QueueKey {
	for _, level := range byRank(x.covering(coverage{action: action, pack: action.Pack()})) {
		if level.Policy.Queue != nil {
			return *level.Policy.Queue
		}
	}
	return DefaultQueue(action)
}

// OfOwn decides the policy of the queue that an action owns.
func (x Index) OfOwn(action attune.Ref) Effective {
	e := x.resolve(coverage{action: action, queue: DefaultQueue(action), pack: action.Pack(), global: true})
	if e.Policy.Queue != nil && *e.Policy.Queue == DefaultQueue(action) {
		e.Policy.Queue = nil
	}
	return e
}

// OfShared decides the policy of a shared queue. Its fields that are not of the queue are what its actions get unless their own
// documents say otherwise.
//
// The default of limit is 1, and with a key in the documents of the queue no limit in total. The default of across is skip if an
// action can wait on its own, because it has a key, a limit or a rate of starts; otherwise the line is strict.
func (x Index) OfShared(key attune.QueueKey, members []Member) Effective {
	queue, _ := x.shared(key, members)
	return queue
}

// shared is [Index.OfShared], with the policy of each member in the queue.
func (x Index) shared(key attune.QueueKey, members []Member) (queue Effective, ofMembers []Effective) {
	queue = x.resolve(coverage{queue: key, pack: attune.Ref(key).Pack(), global: true})
	queue.Policy.Queue = &key
	own := x.resolve(coverage{queue: key}) // with the default that follows from a key of the queue
	x.take(&queue, "limit", own)
	byDefault := queue.From["across"].Scope == ScopeDefault
	if byDefault {
		queue.Policy.Across = attune.AcrossStrict
	}
	for _, member := range members {
		ofMembers = append(ofMembers, x.InShared(member.Ref, queue))
	}
	if byDefault && slices.ContainsFunc(ofMembers, waitsAlone) {
		queue.Policy.Across = attune.AcrossSkip
		for i := range ofMembers {
			ofMembers[i].Policy.Across = attune.AcrossSkip
		}
	}
	return queue, ofMembers
}

// waitsAlone reports whether the tickets of an action can have to wait while those of others go on.
func waitsAlone(e Effective) bool {
	_, rates := e.Gates.Starts()
	return e.Policy.Key != nil || e.From["limit"].Scope == ScopeAction || len(rates) > 0
}

// InShared decides the policy of an action in a shared queue with the policy of [Index.OfShared]. The limit is that of the action's own
// documents, or that of the queue.
func (x Index) InShared(action attune.Ref, queue Effective) Effective {
	key := *queue.Policy.Queue
	e := x.resolve(coverage{action: action, queue: key, pack: action.Pack(), global: true})
	e.Policy.Queue = &key
	for _, field := range x.fields {
		if field.OfQueue || field.Name == "limit" && e.From[field.Name].Scope != ScopeAction {
			e.takeField(field, queue)
		}
	}
	if e.Policy.Key == nil { // the lane of an action without a key has no limits
		for _, name := range []string{"limit_per_key", "max_queued_per_key"} {
			x.take(&e, name, Effective{From: Provenance{name: {Scope: ScopeDefault}}})
		}
	}
	return e
}

// take replaces one field of e by that of another policy.
func (x Index) take(e *Effective, name string, from Effective) {
	for _, field := range x.fields {
		if field.Name == name {
			e.takeField(field, from)
		}
	}
}

func (e *Effective) takeField(field Field, from Effective) {
	field.copy(&e.Policy, from.Policy)
	e.From[field.Name] = from.From[field.Name]
}

// SharedQueue returns the policy of a shared queue with the actions that use it. Its revision is 0: the database counts revisions.
func (x Index) SharedQueue(key attune.QueueKey, members []Member) attune.QueuePolicy {
	members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.Action, b.Action) })
	queue, ofMembers := x.shared(key, members)
	q := queue.Policy
	p := attune.QueuePolicy{
		Limit: q.Limit, Across: q.Across, MaxQueued: q.MaxQueued, Overflow: q.Overflow, QueueTimeout: q.QueueTimeout,
	}
	p.Rates, _ = queue.Gates.Starts()
	for i, member := range members {
		e := ofMembers[i]
		action := OwnQueue(member.Action, e.Policy).Actions[0]
		action.Ref = member.Ref
		_, action.Rates = e.Gates.Starts()
		if e.From["limit"].Scope == ScopeAction {
			action.Limit = &e.Policy.Limit
		}
		p.Actions = append(p.Actions, action)
	}
	return p
}

// SharedInForce returns the policy that a shared queue obeys, with the fields that are not of the queue from its documents.
func SharedInForce(p attune.QueuePolicy, documents attune.EffectivePolicy) attune.EffectivePolicy {
	documents.Limit, documents.Across, documents.MaxQueued = p.Limit, p.Across, p.MaxQueued
	documents.Overflow, documents.QueueTimeout = p.Overflow, p.QueueTimeout
	return documents
}

// CheckScope returns a [DocumentError] about the first field that no document of a scope can set.
func CheckScope(scope Scope, p attune.Policy) error {
	if p.Queue != nil && scope != ScopeAction && scope != ScopePack {
		return mistake([]string{"queue"}, "policy queue: a policy of the scope %s joins no queue: set the field on an action, "+
			"or on a pack for all its actions", scope)
	}
	return nil
}

// CheckJoined returns a [DocumentError] about the first field that belongs to the shared queue which the action of the
// document uses.
func CheckJoined(p attune.Policy, queue attune.QueueKey) error {
	for _, field := range Fields() {
		if field.OfQueue && field.IsSet(p) {
			return mistake([]string{field.Name}, "policy %s: %s", field.Name, Misplaced(queue))
		}
	}
	return nil
}

// UnknownQueue returns a [DocumentError] about the name of a shared queue that no pack declares.
func UnknownQueue(queue attune.QueueKey) error {
	return mistake([]string{"queue"}, "policy queue: no installed pack declares the shared queue %q", queue)
}

// Misplaced says where a field belongs that an action sets although it is one of its shared queue.
func Misplaced(queue attune.QueueKey) string {
	return "the action shares the queue " + string(queue) + ", and the field is about the whole queue: set it in the policy of the queue"
}
