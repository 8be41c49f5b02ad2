package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/attune-go/attune"
)

// Triggers finds triggers. An unknown one is an [attune.CodeNotFound] error.
type Triggers interface {
	Trigger(ctx context.Context, ref attune.Ref) (attune.Trigger, error)
}

// unknownTriggers warns of triggers that no pack has: a misspelt one makes a token that is good for nothing. A pack can come later, so
// they are no error.
func (s *Server) unknownTriggers(ctx context.Context, refs []attune.Ref) []string {
	var warnings []string
	for _, ref := range refs {
		if _, err := s.deps.Packs.Trigger(ctx, ref); err != nil && attune.CodeOf(err) == attune.CodeNotFound {
			warnings = append(warnings, fmt.Sprintf(
				"no installed pack has the trigger %q: the token sends its events only after one has it", ref))
		}
	}
	return warnings
}

// unknownPacks warns of packs that have no action: a misspelt one gets no secret.
func (s *Server) unknownPacks(ctx context.Context, packs []string) []string {
	left := slices.Clone(packs)
	for page := (attune.Page{Limit: attune.MaxPageLimit}); len(left) > 0; {
		found, err := s.deps.Packs.Actions(ctx, page)
		if err != nil {
			return nil // the change is made, and its answer must not depend on the warning
		}
		for _, action := range found {
			left = slices.DeleteFunc(left, func(pack string) bool { return pack == action.Ref.Pack() })
			page.Before = int64(action.ID)
		}
		if len(found) < page.Limit {
			break
		}
	}
	var warnings []string
	for _, pack := range left {
		warnings = append(warnings, fmt.Sprintf(
			"no installed pack with the name %q has an action: it gets the secret only after one has", pack))
	}
	return warnings
}
