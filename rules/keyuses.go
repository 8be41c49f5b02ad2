package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// CheckKeyUses returns a [policy.DocumentError] for a key that is wrong for one of the actions whose lanes it chooses: see [CheckKey],
// [CheckKeyParameters] and [CheckKeyPayload]. own says that the key is that of one action: see [CheckKeyNames]. It does not report an
// action that lacks a parameter of a key for several actions: its enforcements share one lane.
func CheckKeyUses(key string, own bool, uses []policy.KeyUse) error {
	key = strings.TrimSpace(key)
	found := keyMistakes("policy key", CheckKey(key))
	checked := make(map[attune.Ref]bool)
	for _, use := range uses {
		if !checked[use.Action] {
			checked[use.Action] = true
			label := fmt.Sprintf("policy key, for action %q", use.Action)
			if own {
				found = append(found, keyMistakes(label, CheckKeyNames(key, use.Parameters))...)
			}
			found = append(found, keyMistakes(label, CheckKeyParameters(key, use.Parameters))...)
		}
		label := fmt.Sprintf("policy key, for action %q and trigger %q", use.Action, use.Trigger)
		found = append(found, keyMistakes(label, CheckKeyPayload(key, use.Payload))...)
	}
	if found == nil {
		return nil
	}
	return &policy.DocumentError{Mistakes: found}
}

func keyMistakes(label string, err error) []policy.Mistake {
	checked, ok := errors.AsType[*CheckError](err)
	if !ok {
		return nil
	}
	var found []policy.Mistake
	for _, m := range checked.Mistakes {
		found = append(found, policy.Mistake{Path: []string{"key"}, Message: label + ": " + m.String()})
	}
	return found
}
