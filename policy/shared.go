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

// QueueOf returns the key of the queue that an action uses by the documents in levels. An action leaves the queue of its pack with
// its own reference as the name of the queue.
func QueueOf(action attune.Ref, levels []Level) attune.QueueKey {
	named := Resolve(covering(levels, coverage{action: action, pack: action.Pack()})...).Policy.Queue
	if named == nil {
		return DefaultQueue(action)
	}
	return *named
}

// Of returns the queue that an action uses, and the policy of the action in it, by the documents in levels. Those that do not cover
// the action or its queue decide nothing. The default of across, in a shared queue, is that for the action alone: see [OfShared].
func Of(action attune.Ref, levels []Level) (attune.QueueKey, Effective) {
	key := QueueOf(action, levels)
	if key == DefaultQueue(action) {
		return key, OfOwn(action, levels)
	}
	return key, InShared(action, OfShared(key, []Member{{Ref: action}}, levels), levels)
}

// OfOwn decides the policy of the queue that an action owns.
func OfOwn(action attune.Ref, levels []Level) Effective {
	e := Resolve(covering(levels, coverage{action: action, queue: DefaultQueue(action), pack: action.Pack(), global: true})...)
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
func OfShared(key attune.QueueKey, members []Member, levels []Level) Effective {
	ofQueue := covering(levels, coverage{queue: key})
	e := Resolve(covering(levels, coverage{queue: key, pack: attune.Ref(key).Pack(), global: true})...)
	e.Policy.Queue = &key
	own := Resolve(ofQueue...) // with the default that follows from a key of the queue
	e.take("limit", own)
	if e.From["across"].Scope == ScopeDefault {
		e.Policy.Across = attune.AcrossStrict
		if slices.ContainsFunc(members, func(m Member) bool { return waitsAlone(InShared(m.Ref, e, levels)) }) {
			e.Policy.Across = attune.AcrossSkip
		}
	}
	return e
}

// waitsAlone reports whether the tickets of an action can have to wait while those of others go on.
func waitsAlone(e Effective) bool {
	_, rates := e.Gates.Starts()
	return e.Policy.Key != nil || e.From["limit"].Scope == ScopeAction || len(rates) > 0
}

// InShared decides the policy of an action in a shared queue with the policy of [OfShared]. The limit is that of the action's own
// documents, or that of the queue.
func InShared(action attune.Ref, queue Effective, levels []Level) Effective {
	key := *queue.Policy.Queue
	e := Resolve(covering(levels, coverage{action: action, queue: key, pack: action.Pack(), global: true})...)
	e.Policy.Queue = &key
	for _, field := range Fields() {
		if field.OfQueue || field.Name == "limit" && e.From[field.Name].Scope != ScopeAction {
			e.take(field.Name, queue)
		}
	}
	if e.Policy.Key == nil { // the lane of an action without a key has no limits
		for _, name := range []string{"limit_per_key", "max_queued_per_key"} {
			e.take(name, Effective{From: Provenance{name: {Scope: ScopeDefault}}})
		}
	}
	return e
}

// take replaces one field by that of another policy.
func (e *Effective) take(name string, from Effective) {
	for _, field := range Fields() {
		if field.Name == name {
			field.copy(&e.Policy, from.Policy)
			e.From[name] = from.From[name]
		}
	}
}

// SharedQueue returns the policy of a shared queue with the actions that use it. Its revision is 0: the database counts revisions.
func SharedQueue(key attune.QueueKey, members []Member, levels []Level) attune.QueuePolicy {
	queue := OfShared(key, members, levels)
	q := queue.Policy
	p := attune.QueuePolicy{
		Limit: q.Limit, Across: q.Across, MaxQueued: q.MaxQueued, Overflow: q.Overflow, QueueTimeout: q.QueueTimeout,
	}
	p.Rates, _ = queue.Gates.Starts()
	for _, member := range slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.Action, b.Action) }) {
		e := InShared(member.Ref, queue, levels)
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

// coverage is what the documents of some levels are about. An empty field covers nothing.
type coverage struct {
	action attune.Ref
	queue  attune.QueueKey
	pack   string
	global bool
}

// covering returns the levels about c.
func covering(levels []Level, c coverage) []Level {
	return slices.DeleteFunc(slices.Clone(levels), func(l Level) bool {
		switch l.Scope {
		case ScopeAction:
			return l.Ref == "" || l.Ref != string(c.action)
		case ScopeQueue:
			return l.Ref == "" || l.Ref != string(c.queue)
		case ScopePack:
			return l.Ref == "" || l.Ref != c.pack
		default:
			return l.Scope != ScopeGlobal || !c.global
		}
	})
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
