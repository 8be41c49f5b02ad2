package packs

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// library holds the packs that are loaded together.
type library struct{ drafts []*draft }

// check reports pack names and webhook keys that are used twice, references without a target, secrets that rules and keys read, and
// policies that do not fit the shared queues of their actions.
func (l library) check() {
	l.checkNames()
	l.checkWebhooks()
	for _, d := range l.drafts {
		for _, u := range d.uses {
			l.checkRule(u)
		}
		l.checkKeys(d)
		l.checkQueues(d)
	}
}

func (l library) checkNames() {
	first := make(map[string]*draft)
	for _, d := range l.drafts {
		switch other, taken := first[d.pack.Name]; {
		case d.pack.Name == "":
		case taken:
			d.report.add(filepath.Join(d.dir, "pack.yaml"), place{}, "the name %q is taken by the pack in %s", d.pack.Name, other.dir)
		default:
			first[d.pack.Name] = d
		}
	}
}

func (l library) checkWebhooks() {
	first := make(map[string]attune.Ref)
	for _, d := range l.drafts {
		for _, w := range d.webhooks {
			if other, taken := first[w.key]; taken {
				w.source.fault(w.at, "webhook key %q is taken by trigger %q", w.key, other)
				continue
			}
			first[w.key] = w.trigger
		}
	}
}

// checkRule checks the references of a rule, and that its constant parameters fit the schema of its action.
func (l library) checkRule(u ruleUse) {
	if u.trigger != nil && u.rule.Trigger == attune.ManualTrigger {
		u.source.fault(u.trigger.place, "trigger: no rule can listen to %q: it records direct runs of actions",
			attune.ManualTrigger)
	} else if u.trigger != nil {
		l.checkReference(u.source, u.trigger, u.rule.Trigger, triggers)
	}
	if u.action == nil || !l.checkReference(u.source, u.action, u.rule.Action, actions) {
		return
	}
	parameters := u.parameters
	if parameters == nil {
		parameters = u.action
	}
	action := l.schema(u.rule.Action)
	u.fields.reportMistakes("parameters", parameters, rules.CheckFit(u.rule.Parameters, action))
	trigger := l.payload(u.rule.Trigger)
	u.fields.reportMistakes("parameters", parameters, rules.CheckSecretParameters(u.rule.Parameters, trigger, action))
	if criteria := u.fields.get("criteria"); criteria != nil {
		u.fields.reportMistakes("criteria", criteria, rules.CheckSecretCriteria(criteria.text, trigger))
	}
}

// payload returns the schema of a trigger's payload, or nil.
func (l library) payload(ref attune.Ref) []byte {
	for _, d := range l.drafts {
		for _, t := range d.pack.Triggers {
			if t.Ref == ref {
				return t.Schema
			}
		}
	}
	return nil
}

// checkReference reports whether a reference has a target. If not, it adds a problem.
func (l library) checkReference(s *source, n *node, ref attune.Ref, sec section) bool {
	i := slices.IndexFunc(l.drafts, func(d *draft) bool { return d.pack.Name == ref.Pack() })
	if i < 0 {
		if l.allNamed() {
			s.fault(n.place, "%s: there is no pack %q", sec.singular(), ref.Pack())
		}
		return false
	}
	if _, ok := l.drafts[i].declared[sec][ref]; !ok {
		s.fault(n.place, "%s: pack %q has no %s %q: it has %s",
			sec.singular(), ref.Pack(), sec.singular(), ref.Name(), l.drafts[i].declaredNames(sec))
		return false
	}
	return true
}

// allNamed reports whether every pack has a valid name. Without it, a missing pack may be one whose name could not be read.
func (l library) allNamed() bool {
	return !slices.ContainsFunc(l.drafts, func(d *draft) bool { return d.pack.Name == "" })
}

// schema returns the schema of an action's parameters, or nil.
func (l library) schema(ref attune.Ref) []byte {
	for _, d := range l.drafts {
		for _, a := range d.pack.Actions {
			if a.Ref == ref {
				return a.Schema
			}
		}
	}
	return nil
}

// err returns the problems of all packs as a [LoadError], or nil.
func (l library) err() error {
	var all []Problem
	for _, d := range l.drafts {
		all = append(all, d.report.problems...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &LoadError{Problems: all}
}
