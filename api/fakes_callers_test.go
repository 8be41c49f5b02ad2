package api_test

import (
	"context"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// admin is the caller of apiToken.
var admin = auth.Caller{Principal: attune.Principal{Name: "admin", Method: attune.AuthToken}, Role: auth.RoleAdmin}

// fakeCallers holds the caller of each token.
type fakeCallers map[string]auth.Caller

func (f fakeCallers) Authenticate(_ context.Context, token string) (auth.Caller, error) {
	if caller, known := f[token]; known {
		return caller, nil
	}
	if token == "unchecked" {
		return auth.Caller{}, errDown
	}
	return auth.Caller{}, attune.Errorf(attune.CodeUnauthorized, "the API token is wrong")
}

// callersFunc is an authenticator.
type callersFunc func(ctx context.Context, token string) (auth.Caller, error)

func (f callersFunc) Authenticate(ctx context.Context, token string) (auth.Caller, error) {
	return f(ctx, token)
}

// as adds a caller with a role, whose token is the name of the role, and returns the header of the requests of that caller.
func (b *bundle) as(role auth.Role, triggers ...attune.Ref) string {
	token := "token-" + string(role)
	b.callers[token] = auth.Caller{
		Principal: attune.Principal{Name: "some " + string(role), Method: attune.AuthToken}, Role: role, Token: "abcdefgh", Triggers: triggers,
	}
	return "Authorization: Bearer " + token
}
