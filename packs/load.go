package packs

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/attune-go/attune"
)

// Load reads the pack in a folder. References to other packs are taken on trust; [LoadAll] checks them. The error is
// [Problems].
func Load(dir string) (*attune.Pack, error) {
	lib := library{drafts: []*draft{readDraft(dir)}}
	lib.check()
	if err := lib.problems().orNil(); err != nil {
		return nil, err
	}
	return &lib.drafts[0].pack, nil
}

// LoadAll reads the core pack and the packs in the folders, in this order, and checks them together: every reference
// must lead somewhere, and names and webhook keys stand for one thing. Folders that are named twice are read once. The
// core pack's files are kept under dataDir, see [Core]. An error is [Problems], unless dataDir cannot be used.
func LoadAll(dataDir string, dirs []string) ([]attune.Pack, error) {
	core, err := materialize(dataDir)
	if err != nil {
		return nil, err
	}
	lib := library{closed: true}
	for _, dir := range append([]string{core}, dirs...) {
		d := readDraft(dir)
		if !slices.ContainsFunc(lib.drafts, func(other *draft) bool { return d.pack.Dir != "" && other.pack.Dir == d.pack.Dir }) {
			lib.drafts = append(lib.drafts, d)
		}
	}
	lib.check()
	if err := lib.problems().orNil(); err != nil {
		return nil, err
	}
	packs := make([]attune.Pack, len(lib.drafts))
	for i, d := range lib.drafts {
		packs[i] = d.pack
	}
	return packs, nil
}

// digest is the SHA-256 of what a pack declares, in hexadecimal. It does not depend on the order of the declarations or
// on how they are spread over files, nor on the folder.
func digest(p attune.Pack) string {
	slices.SortFunc(p.Triggers, func(a, b attune.Trigger) int { return cmp.Compare(a.Ref, b.Ref) })
	slices.SortFunc(p.Actions, func(a, b attune.Action) int { return cmp.Compare(a.Ref, b.Ref) })
	slices.SortFunc(p.Rules, func(a, b attune.Rule) int { return cmp.Compare(a.Ref, b.Ref) })
	p.Dir, p.Digest = "", ""
	encoded, err := json.Marshal(p)
	if err != nil {
		return "" // cannot be: a pack holds only what JSON can say
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:])
}
