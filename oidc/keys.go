package oidc

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// keySet verifies one signature. It keeps the error of an issuer that did not answer: the library passes errors on as text.
type keySet struct {
	remote     *gooidc.RemoteKeySet
	unanswered error
}

// VerifySignature implements [gooidc.KeySet].
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, token)
	_, noAnswer := errors.AsType[*url.Error](err)
	if noAnswer || err != nil && ctx.Err() != nil {
		k.unanswered = err
	}
	return payload, err
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

// Bounds of what this package reads from the issuer.
const (
	maxAnswerBytes = 1 << 20
	defaultPeriod  = time.Second // between requests, after a burst
	askBurst       = 3
)

// transport sends the requests to the issuer.
type transport struct {
	next  http.RoundTripper
	limit *rate.Limiter
}

func newTransport(period time.Duration) *transport {
	return &transport{next: http.DefaultTransport, limit: rate.NewLimiter(rate.Every(cmp.Or(period, defaultPeriod)), askBurst)}
}

// RoundTrip implements [http.RoundTripper]. It waits for its turn, treats every status but 200 as no answer, and bounds the body.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.limit.Wait(r.Context()); err != nil {
		return nil, err
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, statusError(response.StatusCode)
	}
	response.Body = bounded{io.LimitReader(response.Body, maxAnswerBytes), response.Body}
	return response, nil
}

// bounded is a body that ends after a number of bytes.
type bounded struct {
	io.Reader
	io.Closer
}
