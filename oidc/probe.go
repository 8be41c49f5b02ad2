package oidc

import (
	"context"

	"github.com/attune-go/attune"
)

// Keys reads the discovery document and the keys of the issuer again, and returns how many of the keys can verify a token. It changes
// nothing of what Verify uses, except that both share the bound on requests to the issuer.
//
// The error says whether the issuer does not answer or answers wrongly.
func (i *Issuer) Keys(ctx context.Context) (int, error) {
	_, found, err := i.ask(ctx, nil)
	if err != nil {
		return 0, attune.WrapError(attune.CodeUnavailable, err, "the issuer %s", trouble(err))
	}
	return len(found.keys), nil
}
