package api_test

import (
	"context"
	"sync"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// fakeTokens records its calls, and knows every token except "missing".
type fakeTokens struct {
	mu       sync.Mutex
	requests []auth.TokenRequest
	secrets  []auth.Secret
	by       []attune.Principal
	keepOld  time.Duration
	life     time.Duration
	revoked  bool
	page     attune.Page
	found    []auth.Token
}

func (f *fakeTokens) token(name string, secret auth.Secret) (auth.Token, error) {
	if name == "missing" {
		return auth.Token{}, notFound(`token "missing"`)
	}
	return auth.Token{
		ID: 3, Name: name, Role: auth.RoleViewer, CreatedAt: noon, CreatedBy: admin.Principal,
		Secrets: []auth.TokenSecret{{Prefix: secret.Prefix, CreatedAt: noon}},
	}, nil
}

func (f *fakeTokens) Create(
	_ context.Context, request auth.TokenRequest, secret auth.Secret, by attune.Principal,
) (auth.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := request.Validate(); err != nil {
		return auth.Token{}, err
	}
	f.requests, f.secrets, f.by = append(f.requests, request), append(f.secrets, secret), append(f.by, by)
	return f.token(request.Name, secret)
}

func (f *fakeTokens) Rotate(_ context.Context, name string, secret auth.Secret, keepOld, life time.Duration) (auth.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secrets, f.keepOld, f.life = append(f.secrets, secret), keepOld, life
	return f.token(name, secret)
}

func (f *fakeTokens) Revoke(_ context.Context, name string, by attune.Principal) (auth.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.by = append(f.by, by)
	token, err := f.token(name, auth.Secret{})
	token.Secrets, token.RevokedAt, token.RevokedBy = nil, &noon, &by
	return token, err
}

func (f *fakeTokens) List(_ context.Context, revoked bool, page attune.Page) ([]auth.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked, f.page = revoked, page
	return f.found, nil
}
