package packs

import (
	"slices"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// Pools returns the pool of every action of the packs, with repetitions.
func Pools(packs []attune.Pack) []string {
	var pools []string
	for _, pack := range packs {
		for _, action := range pack.Actions {
			pools = append(pools, action.Pool)
		}
	}
	return pools
}

// Actions returns a function that finds an action of the packs.
func Actions(packs []attune.Pack) func(attune.Ref) (attune.Action, bool) {
	actions := make(map[attune.Ref]attune.Action)
	for _, pack := range packs {
		for _, action := range pack.Actions {
			actions[action.Ref] = action
		}
	}
	return func(ref attune.Ref) (attune.Action, bool) {
		action, known := actions[ref]
		return action, known
	}
}

// HaveLimits reports whether an action of the packs has limits.
func HaveLimits(packs []attune.Pack) bool {
	return slices.ContainsFunc(packs, func(pack attune.Pack) bool {
		return slices.ContainsFunc(pack.Actions, func(action attune.Action) bool { return action.Limits != attune.Limits{} })
	})
}

// Folders maps the name of each pack to its folder.
func Folders(packs []attune.Pack) map[string]string {
	folders := make(map[string]string, len(packs))
	for _, pack := range packs {
		folders[pack.Name] = pack.Dir
	}
	return folders
}

// WithSecrets returns the triggers with secret fields, and the actions that ask for secrets or have secret parameters.
func WithSecrets(packs []attune.Pack) []attune.Ref {
	var found []attune.Ref
	for _, pack := range packs {
		for _, trigger := range pack.Triggers {
			if rules.MarksSecrets(trigger.Schema) {
				found = append(found, trigger.Ref)
			}
		}
		for _, action := range pack.Actions {
			if len(action.Secrets) > 0 || rules.MarksSecrets(action.Schema) {
				found = append(found, action.Ref)
			}
		}
	}
	return found
}
