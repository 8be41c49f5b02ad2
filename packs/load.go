package packs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/attune-go/attune"
)

// LoadAll reads the core pack and the packs in the folders, in this order, and checks them together: every reference
// must lead somewhere, and names and webhook keys stand for one thing. Folders that are named twice are read once. The
// core pack's files are written to a folder under dataDir, so that workers can run its scripts. An error is a [LoadError],
// unless dataDir cannot be used.
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

// declarations is what the digest of a pack covers. Another name or order of the fields is another digest.
type declarations struct {
	Name        string           `json:"name"`
	Version     string           `json:"version"`
	Description string           `json:"description"`
	Policy      *attune.Policy   `json:"policy"`
	Triggers    []attune.Trigger `json:"triggers"`
	Actions     []attune.Action  `json:"actions"`
	Rules       []attune.Rule    `json:"rules"`
}

// digest is the SHA-256 of what a pack declares, in hexadecimal. It does not depend on the order of the declarations or
// on how they are spread over files, nor on the folder.
func digest(p attune.Pack) string {
	slices.SortFunc(p.Triggers, func(a, b attune.Trigger) int { return cmp.Compare(a.Ref, b.Ref) })
	slices.SortFunc(p.Actions, func(a, b attune.Action) int { return cmp.Compare(a.Ref, b.Ref) })
	slices.SortFunc(p.Rules, func(a, b attune.Rule) int { return cmp.Compare(a.Ref, b.Ref) })
	encoded, err := json.Marshal(declarations{
		Name: p.Name, Version: p.Version, Description: p.Description, Policy: p.Policy,
		Triggers: p.Triggers, Actions: p.Actions, Rules: p.Rules,
	})
	if err != nil {
		return "" // cannot be: a pack holds only what JSON can say
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
