package packs

import (
	"fmt"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// keyUse is the key of a policy, or the key or cost of a rate or quota: of one action, or of a pack for all its actions. The key of a
// pack's policy is not for the actions that have a key of their own.
type keyUse struct {
	fields *fields // of the policy or the gate
	node   *node
	action attune.Ref // empty for that of a pack
	label  string     // "key" or "cost"
	ofGate bool
}

// key remembers the key of a policy, and checks what needs no schema. It removes white space around the key from the document.
func (d *draft) key(policy *fields, action attune.Ref, document *attune.Policy) {
	n := policy.get("key")
	if n == nil || n.kind != kindText || n.text == "" { // the reading of the policy reports a wrong value
		return
	}
	document.Key = new(strings.TrimSpace(n.text))
	policy.reportMistakes("key", n, rules.CheckKey(n.text))
	d.keys = append(d.keys, keyUse{fields: policy, node: n, action: action, label: "key"})
}

// checkKeys checks the keys of a pack against the schemas of the actions whose lanes they choose.
func (l library) checkKeys(d *draft) {
	own := make(map[attune.Ref]bool)
	for _, k := range d.keys {
		own[k.action] = own[k.action] || !k.ofGate
	}
	for _, k := range d.keys {
		for _, a := range d.pack.Actions {
			if k.action == a.Ref || k.action == "" && (k.ofGate || !own[a.Ref]) {
				l.checkKey(k, a)
			}
		}
	}
}

// checkKey checks a key for one of its actions. An action that lacks a parameter of its pack's key is no error: its enforcements share
// one lane.
func (l library) checkKey(k keyUse, a attune.Action) {
	if k.action != "" {
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
