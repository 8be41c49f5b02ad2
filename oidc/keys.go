package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// keySet is the keys of the issuer at one moment.
type keySet struct {
	keys       []jose.JSONWebKey
	algorithms []string // that the issuer signs with
	readAt     time.Time
}

// document is what attune reads of the issuer's discovery document.
type document struct {
	KeysURL    string   `json:"jwks_uri"`
	Algorithms []string `json:"id_token_signing_alg_values_supported"`
}

// verify returns the payload of a token that a key of the set has signed.
func (k *keySet) verify(jws *jose.JSONWebSignature) (payload []byte, ok bool) {
	for _, key := range k.keys {
		if id := jws.Signatures[0].Header.KeyID; id != "" && id != key.KeyID {
			continue
		}
		if payload, err := jws.Verify(&key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// judge verifies the signature of one token. It implements [gooidc.KeySet], and keeps what the library passes on as text or reads
// without regard to case.
type judge struct {
	issuer     *Issuer
	keys       *keySet
	unanswered error    // why there are no keys to judge the token with
	claims     claimSet // of a token with a good signature
}

var errSignature = errors.New("no key of the issuer has signed the token")

// VerifySignature returns those claims that the library reads, as JSON. When no known key has signed the token, it reads the keys of the
// issuer again.
func (j *judge) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, algorithm := range j.keys.algorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(algorithm))
	}
	jws, err := jose.ParseSigned(token, algorithms)
	if err != nil {
		return nil, err
	}
	payload, ok := j.keys.verify(jws)
	if !ok {
		newer, err := j.issuer.newerKeys(ctx, j.keys)
		if err == nil && len(newer.keys) == 0 {
			err = errors.New("the issuer has no key that can verify a token")
		}
		if err != nil {
			j.unanswered = err
			return nil, err
		}
		if payload, ok = newer.verify(jws); !ok {
			return nil, errSignature
		}
	}
	if j.claims, err = parseClaims(payload); err != nil {
		return nil, err
	}
	return j.claims.registered()
}

// readDocument reads the discovery document.
func (i *Issuer) readDocument(ctx context.Context) (document, error) {
	var d document
	provider, err := gooidc.NewProvider(gooidc.ClientContext(ctx, i.client), i.config.Issuer)
	if err == nil {
		err = provider.Claims(&d)
	}
	if err == nil {
		_, err = url.ParseRequestURI(d.KeysURL)
	}
	if err != nil {
		return document{}, fmt.Errorf("read the discovery document: %w", err)
	}
	return d, nil
}

// keysError is an answer of the issuer that is no key set.
type keysError struct{ cause error }

func (k *keysError) Error() string { return "the answer is no set of keys: " + k.cause.Error() }

func (k *keysError) Unwrap() error { return k.cause }

// readKeys reads the keys that can verify a token. An issuer can have none. A key that cannot be read, or that cannot verify a signature,
// is left out (RFC 7517, section 5).
func (i *Issuer) readKeys(ctx context.Context, address string) ([]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	request.Header.Set("Cache-Control", "no-cache")
	response, err := i.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", &keysError{err})
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("read the keys: %w", &keysError{err})
	}
	if set.Keys == nil {
		return nil, fmt.Errorf("read the keys: %w", &keysError{errors.New("it has no list of keys")})
	}
	return usable(set.Keys), nil
}

func usable(keys []json.RawMessage) []jose.JSONWebKey {
	var found []jose.JSONWebKey
	for _, raw := range keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.Valid() && key.IsPublic() && key.Use != "enc" {
			found = append(found, key)
		}
	}
	return found
}

// asymmetric returns the algorithms that are safe with public keys. An issuer that announces none gets RS256, as OpenID Connect
// prescribes.
func asymmetric(announced []string) []string {
	safe := []string{
		gooidc.RS256, gooidc.RS384, gooidc.RS512, gooidc.PS256, gooidc.PS384, gooidc.PS512,
		gooidc.ES256, gooidc.ES384, gooidc.ES512, gooidc.EdDSA,
	}
	found := slices.DeleteFunc(slices.Clone(announced), func(algorithm string) bool { return !slices.Contains(safe, algorithm) })
	if len(found) == 0 {
		return []string{gooidc.RS256}
	}
	return found
}
