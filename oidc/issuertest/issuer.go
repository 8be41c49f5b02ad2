// Package issuertest is an OpenID Connect issuer for tests. It listens on the loopback interface and signs any claims.
package issuertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/stretchr/testify/require"
)

// Algorithm is the signature algorithm of the issuer.
const Algorithm = "ES256"

// Issuer signs tokens, and serves its discovery document and its keys. It is safe for concurrent use.
type Issuer struct {
	URL string

	server *httptest.Server

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	keyID    string
	made     int
	down     bool
	keys     http.HandlerFunc // nil: the key
	requests int
}

// Start starts an issuer that ends with the test.
func Start(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{}
	i.server = httptest.NewServer(i)
	t.Cleanup(i.server.Close)
	i.URL = i.server.URL
	i.RotateKey(t)
	return i
}

// RotateKey replaces the key of the issuer. Tokens with the earlier key are no longer valid.
func (i *Issuer) RotateKey(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	i.key, i.keyID = key, "key-"+strconv.Itoa(i.made)
}

// SetDown makes the issuer answer every request with 503, or ends that.
func (i *Issuer) SetDown(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// SetKeys replaces the answer of the issuer where its keys are. With nil, the issuer answers with its key again.
func (i *Issuer) SetKeys(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = answer
}

// Requests returns how many requests the issuer has received.
func (i *Issuer) Requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests
}

// Token returns a token for an audience that expires in an hour. The claims come last: they replace others, and a nil claim removes
// one.
func (i *Issuer) Token(t testing.TB, audience string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{
		"iss": i.URL, "aud": audience, "sub": "user-1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return i.Sign(string(text))
}

// Sign returns a token with any payload.
func (i *Issuer) Sign(payload string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return oidctest.SignIDToken(i.key, i.keyID, Algorithm, payload)
}

// ServeHTTP implements [http.Handler].
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	answer := i.keys
	if answer == nil || r.URL.Path != "/keys" {
		answer = i.answer
	}
	i.requests++
	i.mu.Unlock()
	answer(w, r)
}

func (i *Issuer) answer(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	server := &oidctest.Server{
		Algorithms: []string{Algorithm},
		PublicKeys: []oidctest.PublicKey{{PublicKey: i.key.Public(), KeyID: i.keyID, Algorithm: Algorithm}},
	}
	server.SetIssuer(i.URL)
	server.ServeHTTP(w, r)
}
