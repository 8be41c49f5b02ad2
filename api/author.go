package api

import (
	"context"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Attribution says for which person a caller makes a change, and why. The principal comes from the caller's token.
type Attribution struct {
	OnBehalfOf string `json:"on_behalf_of,omitempty" maxLength:"200" doc:"The person that the caller acts for; at most 200 bytes"`
	Note       string `json:"note,omitempty" maxLength:"1000" doc:"Why the change is made; recorded; at most 1000 bytes"`
}

// author returns the principal of the request, with on_behalf_of and note from its body, if there is one. An
// [attune.CodeInvalid] error names the member that is not a valid text.
func (a *Attribution) author(ctx context.Context) (attune.Author, error) {
	author := attune.Author{Principal: callerOf(ctx).Principal}
	if a != nil {
		author.OnBehalfOf, author.Note = a.OnBehalfOf, a.Note
	}
	return author, author.Validate()
}

type callerKey struct{}

func withCaller(ctx context.Context, caller auth.Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// callerOf returns the caller that authorize found; the zero value on a public route.
func callerOf(ctx context.Context) auth.Caller {
	caller, _ := ctx.Value(callerKey{}).(auth.Caller)
	return caller
}
