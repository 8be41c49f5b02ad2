package api

import (
	"context"

	"github.com/attune-go/attune"
)

// Change says on whose behalf a caller makes a change, and why. The principal is the caller's own: see [Server.authenticate].
type Change struct {
	OnBehalfOf string `json:"on_behalf_of,omitempty" maxLength:"200" doc:"The person that the change is made for, as the caller says"`
	Note       string `json:"note,omitempty" maxLength:"1000" doc:"Why"`
}

// author is the principal of the request, with on_behalf_of and note of the body if the request has one. An
// [attune.CodeInvalid] error names a member that is no valid text.
func (c *Change) author(ctx context.Context) (attune.Author, error) {
	author := attune.Author{Principal: principalOf(ctx)}
	if c != nil {
		author.OnBehalfOf, author.Note = c.OnBehalfOf, c.Note
	}
	return author, author.Validate()
}

type principalKey struct{}

func withPrincipal(ctx context.Context, principal attune.Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, principal)
}

// principalOf is who makes the request, as authenticate has found; the zero value on an open route.
func principalOf(ctx context.Context) attune.Principal {
	principal, _ := ctx.Value(principalKey{}).(attune.Principal)
	return principal
}
