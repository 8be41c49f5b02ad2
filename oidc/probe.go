package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/attune-go/attune"
)

// Keys reads the discovery document and the keys of the issuer again, and returns how many of the keys can verify a token. It changes
// nothing of what Verify uses, except that both share the bound on requests to the issuer.
//
// The error says whether the issuer does not answer or answers wrongly.
func (i *Issuer) Keys(ctx context.Context) (int, error) {
	keys, err := i.readKeys(ctx)
	if err != nil {
		return 0, attune.WrapError(attune.CodeUnavailable, err, "the issuer %s", trouble(err))
	}
	return keys, nil
}

func (i *Issuer) readKeys(ctx context.Context) (int, error) {
	provider, err := gooidc.NewProvider(gooidc.ClientContext(ctx, i.client), i.config.Issuer)
	if err != nil {
		return 0, fmt.Errorf("read the discovery document: %w", err)
	}
	var document struct {
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil {
		return 0, fmt.Errorf("read the discovery document: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, document.KeysURL, nil)
	if err != nil {
		return 0, fmt.Errorf("read the keys: %w", err)
	}
	response, err := i.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read the keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var set struct {
		Keys []struct {
			Type string `json:"kty"`
			Use  string `json:"use"`
		} `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return 0, fmt.Errorf("read the keys: %w", err)
	}
	usable := 0
	for _, key := range set.Keys {
		if slices.Contains([]string{"RSA", "EC", "OKP"}, key.Type) && key.Use != "enc" {
			usable++
		}
	}
	return usable, nil
}
