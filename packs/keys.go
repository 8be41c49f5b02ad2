package packs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

// keyUse is the key of a policy, or the key or cost of a rate or quota: of one action, or of a shared queue or a pack for the actions in
// it. The key of a policy is not for the actions that have a nearer one.
type keyUse struct {
	owner
	fields *fields // of the policy or the gate
	node   *node
	label  string // "key" or "cost"
	ofGate bool
}

// key remembers the key of a policy, and checks what needs no schema. It removes white space around the key from the document.
func (d *draft) key(f *fields, of owner, document *attune.Policy) {
	n := f.get("key")
	if n == nil || n.kind != kindText || n.text == "" { // the reading of the policy reports a wrong value
		return
	}
	document.Key = new(strings.TrimSpace(n.text))
	f.reportMistakes("key", n, rules.CheckKey(n.text))
	d.keys = append(d.keys, keyUse{owner: of, fields: f, node: n, label: "key"})
}

// checkKeys checks the keys of a pack against the schemas of the actions whose lanes they choose.
func (l library) checkKeys(d *draft) {
	for _, k := range d.keys {
		for _, other := range l.drafts {
			for _, a := range other.pack.Actions {
				if k.ofGate && l.covers(k.owner, other, a.Ref) || !k.ofGate && l.keyOf(other, a.Ref) == k.owner {
					l.checkKey(k, a)
				}
			}
		}
	}
}

// keyOf returns the owner of the policy whose key chooses the lanes of an action.
func (l library) keyOf(d *draft, action attune.Ref) owner {
	for _, of := range []owner{
		{scope: policy.ScopeAction, ref: action}, {scope: policy.ScopeQueue, ref: attune.Ref(l.queueOf(d, action))},
	} {
		if slices.ContainsFunc(l.drafts, func(d *draft) bool {
			return slices.ContainsFunc(d.keys, func(k keyUse) bool { return k.owner == of && !k.ofGate })
		}) {
			return of
		}
	}
	return owner{scope: policy.ScopePack, ref: attune.Ref(d.name)}
}

// covers reports whether a policy is about an action of a pack.
func (l library) covers(of owner, d *draft, action attune.Ref) bool {
	switch of.scope {
	case policy.ScopeAction:
		return of.ref == action
	case policy.ScopeQueue:
		return attune.QueueKey(of.ref) == l.queueOf(d, action)
	default:
		return string(of.ref) == d.name
	}
}

// checkKey checks a key for one of its actions. An action that lacks a parameter of the key of its pack or queue is no error: its enforcements share
// one lane.
func (l library) checkKey(k keyUse, a attune.Action) {
	if k.scope == policy.ScopeAction {
		k.fields.reportMistakes(k.label, k.node, rules.CheckKeyNames(k.node.text, a.Schema))
	}
	k.fields.reportMistakes(fmt.Sprintf("%s, for action %q", k.label, a.Ref), k.node, rules.CheckKeyParameters(k.node.text, a.Schema))
	checked := make(map[attune.Ref]bool)
	for _, d := range l.drafts {
		for _, r := range d.pack.Rules {
			if r.Action != a.Ref || checked[r.Trigger] {
				continue
			}
			checked[r.Trigger] = true
			label := fmt.Sprintf("%s, for action %q and trigger %q", k.label, a.Ref, r.Trigger)
			k.fields.reportMistakes(label, k.node, rules.CheckKeyPayload(k.node.text, l.payload(r.Trigger)))
		}
	}
}
