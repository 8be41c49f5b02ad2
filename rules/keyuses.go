package rules

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// policyExpression is an expression in a policy document.
type policyExpression struct {
	path  []string
	label string // for messages
	text  string
	check func(string) error // of what needs no schema
	names bool               // see [CheckKeyNames]
}

// CheckPolicyUses returns a [policy.DocumentError] for expressions of a document, the key and those of rates and quotas, that are wrong
// for one of the actions that the document covers: see [CheckKey], [CheckCost], [CheckKeyParameters] and [CheckKeyPayload]. own says
// that the document is that of one action: see [CheckKeyNames]. It does not report an action that lacks a parameter of a key for several
// actions: its enforcements share one lane.
func CheckPolicyUses(document attune.Policy, own bool, uses []policy.KeyUse) error {
	var found []policy.Mistake
	for _, e := range expressionsOf(document, own) {
		found = append(found, e.mistakes(uses)...)
	}
	if found == nil {
		return nil
	}
	return &policy.DocumentError{Mistakes: found}
}

func expressionsOf(document attune.Policy, own bool) (all []policyExpression) {
	if document.Key != nil {
		all = append(all, policyExpression{[]string{"key"}, "policy key", *document.Key, CheckKey, own})
	}
	gate := func(list string, i int, key, cost string) {
		at := fmt.Sprintf("policy %s[%d].", list, i)
		if key != "" {
			all = append(all, policyExpression{[]string{list, strconv.Itoa(i), "key"}, at + "key", key, CheckKey, false})
		}
		if cost != "" {
			all = append(all, policyExpression{[]string{list, strconv.Itoa(i), "cost"}, at + "cost", cost, CheckCost, false})
		}
	}
	for i, rate := range document.Rate {
		gate("rate", i, rate.Key, rate.Cost)
	}
	for i, quota := range document.Quota {
		gate("quota", i, quota.Key, quota.Cost)
	}
	return all
}

// mistakes returns the mistakes of an expression, for any action and for each of its uses.
func (e policyExpression) mistakes(uses []policy.KeyUse) []policy.Mistake {
	text := strings.TrimSpace(e.text)
	found := e.from(e.label, e.check(text))
	checked := make(map[attune.Ref]bool)
	for _, use := range uses {
		if !checked[use.Action] {
			checked[use.Action] = true
			label := fmt.Sprintf("%s, for action %q", e.label, use.Action)
			if e.names {
				found = append(found, e.from(label, CheckKeyNames(text, use.Parameters))...)
			}
			found = append(found, e.from(label, CheckKeyParameters(text, use.Parameters))...)
		}
		label := fmt.Sprintf("%s, for action %q and trigger %q", e.label, use.Action, use.Trigger)
		found = append(found, e.from(label, CheckKeyPayload(text, use.Payload))...)
	}
	return found
}

func (e policyExpression) from(label string, err error) []policy.Mistake {
	checked, ok := errors.AsType[*CheckError](err)
	if !ok {
		return nil
	}
	var found []policy.Mistake
	for _, m := range checked.Mistakes {
		found = append(found, policy.Mistake{Path: e.path, Message: label + ": " + m.String()})
	}
	return found
}
