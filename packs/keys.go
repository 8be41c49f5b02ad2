package packs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

// keyUse is the key of a policy: of one action, or of a shared queue or a pack for the actions that have no key of their own.
type keyUse struct {
	owner
	fields *fields // of the policy
	node   *node
}

// key remembers the key of a policy, and checks what needs no schema. It removes white space around the key from the document.
func (d *draft) key(f *fields, of owner, document *attune.Policy) {
	n := f.get("key")
	if n == nil || n.kind != kindText || n.text == "" { // the reading of the policy reports a wrong value
		return
	}
	document.Key = new(strings.TrimSpace(n.text))
	f.reportMistakes("key", n, rules.CheckKey(n.text))
	d.keys = append(d.keys, keyUse{owner: of, fields: f, node: n})
}

// checkKeys checks the keys of a pack against the schemas of the actions whose lanes they choose.
func (l library) checkKeys(d *draft) {
	for _, k := range d.keys {
		for _, other := range l.drafts {
			for _, a := range other.pack.Actions {
				if l.keyOf(other, a.Ref) == k.owner {
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
			return slices.ContainsFunc(d.keys, func(k keyUse) bool { return k.owner == of })
		}) {
			return of
		}
	}
	return owner{scope: policy.ScopePack, ref: attune.Ref(d.pack.Name)}
}

// checkKey checks a key for one of its actions. An action that lacks a parameter of the key of its pack or queue is no error: its enforcements share
// one lane.
func (l library) checkKey(k keyUse, a attune.Action) {
	if k.scope == policy.ScopeAction {
		k.fields.reportMistakes("key", k.node, rules.CheckKeyNames(k.node.text, a.Schema))
	}
	k.fields.reportMistakes(fmt.Sprintf("key, for action %q", a.Ref), k.node, rules.CheckKeyParameters(k.node.text, a.Schema))
	checked := make(map[attune.Ref]bool)
	for _, d := range l.drafts {
		for _, r := range d.pack.Rules {
			if r.Action != a.Ref || checked[r.Trigger] {
				continue
			}
			checked[r.Trigger] = true
			label := fmt.Sprintf("key, for action %q and trigger %q", a.Ref, r.Trigger)
			k.fields.reportMistakes(label, k.node, rules.CheckKeyPayload(k.node.text, l.payload(r.Trigger)))
		}
	}
}
