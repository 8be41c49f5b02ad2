package policy

import (
	"encoding/json"

	"github.com/attune-go/attune"
)

// gateList is a list of gates in a document.
type gateList struct {
	name   string
	decode func(*attune.Policy, json.RawMessage) error
}

// gateLists are the members of a document that are no [Field]: the gates of all scopes apply.
func gateLists() []gateList {
	return []gateList{
		{"rate", func(p *attune.Policy, raw json.RawMessage) error { return decodeJSON(raw, "list", &p.Rate) }},
		{"quota", func(p *attune.Policy, raw json.RawMessage) error { return decodeJSON(raw, "list", &p.Quota) }},
	}
}

// decodeGates reads the rates and quotas of a document, and returns the mistakes in them.
func decodeGates(members map[string]json.RawMessage, p *attune.Policy) []Mistake {
	var found []Mistake
	for _, list := range gateLists() {
		if value, ok := members[list.name]; ok {
			if err := list.decode(p, value); err != nil {
				found = append(found, Mistake{Path: []string{list.name}, Message: "policy " + list.name + ": " + err.Error()})
			}
		}
	}
	if found != nil {
		return found
	}
	return gateMistakes(CheckGates(*p, ""))
}

func gateMistakes(faults []Fault) []Mistake {
	var found []Mistake
	for _, fault := range faults {
		found = append(found, Mistake{Path: fault.Path, Message: "policy " + fault.String()})
	}
	return found
}

// CheckGatesOf returns a [DocumentError] for rates and quotas that a document of this scope cannot have: see [CheckGates].
func CheckGatesOf(scope Scope, p attune.Policy) error {
	if found := gateMistakes(CheckGates(p, scope)); found != nil {
		return &DocumentError{Mistakes: found}
	}
	return nil
}
