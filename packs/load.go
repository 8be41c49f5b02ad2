package packs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/attune-go/attune"
)

// LoadAll reads the core pack and the packs in the folders, in this order, and checks them together: every reference must have
// a target, and pack names and webhook keys must be unique. A folder that is named twice is read once. LoadAll writes the files
// of the core pack to a folder under dataDir, so that workers can run its scripts. An error is a [LoadError], or an
// [attune.CodeInvalid] error if dataDir cannot be used.
func LoadAll(dataDir string, dirs []string) ([]attune.Pack, error) {
	core, err := materialize(dataDir)
	if err != nil {
		return nil, err
	}
	var lib library
	for _, dir := range append([]string{core}, dirs...) {
		d := readDraft(dir)
		if !slices.ContainsFunc(lib.drafts, func(other *draft) bool { return d.pack.Dir != "" && other.pack.Dir == d.pack.Dir }) {
			lib.drafts = append(lib.drafts, d)
		}
	}
	lib.check()
	if err := lib.err(); err != nil {
		return nil, err
	}
	packs := make([]attune.Pack, len(lib.drafts))
	for i, d := range lib.drafts {
		packs[i] = d.pack
	}
	return packs, nil
}

// declarations is the input of a pack's digest. Changing the name or the order of a field changes every digest.
type declarations struct {
	Name        string           `json:"name"`
	Version     string           `json:"version"`
	Description string           `json:"description"`
	Policy      *attune.Policy   `json:"policy"`
	Triggers    []attune.Trigger `json:"triggers"`
	Actions     []attune.Action  `json:"actions"`
	Rules       []attune.Rule    `json:"rules"`

	Queues []attune.SharedQueue `json:"queues"`
}

// digest returns the SHA-256 of a pack's declarations, in hexadecimal. It sorts the declarations first, so it does not depend on
// their order, their files or the folder.
func digest(p attune.Pack) string {
	slices.SortFunc(p.Triggers, func(a, b attune.Trigger) int { return cmp.Compare(a.Ref, b.Ref) })
	slices.SortFunc(p.Actions, func(a, b attune.Action) int { return cmp.Compare(a.Ref, b.Ref) })
	slices.SortFunc(p.Queues, func(a, b attune.SharedQueue) int { return cmp.Compare(a.Ref, b.Ref) })
	slices.SortFunc(p.Rules, func(a, b attune.Rule) int { return cmp.Compare(a.Ref, b.Ref) })
	encoded, err := json.Marshal(declarations{
		Name: p.Name, Version: p.Version, Description: p.Description, Policy: p.Policy,
		Triggers: p.Triggers, Actions: p.Actions, Rules: p.Rules, Queues: p.Queues,
	})
	if err != nil {
		return "" // impossible: every value of a pack can be encoded as JSON
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
