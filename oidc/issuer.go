package oidc

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Config names an issuer and its audience.
type Config struct {
	Issuer   string          // URL, exactly as the issuer writes it in its tokens
	Audience string          // a token must name it in its claim "aud"
	Claims   auth.ClaimRules // how claims become a caller
	// AskPeriod is the least time between requests to the issuer, after a few at once; 0 means the default, 1 s.
	AskPeriod time.Duration
	Logger    *slog.Logger // of refused tokens; optional
}

const (
	requestTimeout  = 5 * time.Second // of one request to the issuer
	discoveryPeriod = 5 * time.Second // between attempts to find an issuer that does not answer
)

// Issuer verifies tokens. It is safe for concurrent use.
type Issuer struct {
	config Config
	client *http.Client

	mu      sync.Mutex
	found   *discovered
	failure error     // of the latest attempt to find the issuer
	triedAt time.Time // of that attempt
}

// discovered is what the issuer's discovery document says.
type discovered struct {
	keys       *gooidc.RemoteKeySet
	algorithms []string
}

// New returns the issuer of a configuration. It asks the issuer nothing.
func New(config Config) *Issuer {
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	return &Issuer{config: config, client: &http.Client{Timeout: requestTimeout, Transport: newTransport(config.AskPeriod)}}
}

// Verify returns the caller of a JSON web token. A token that is wrong is an [attune.CodeUnauthorized] error. A token that cannot
// be verified, because the issuer does not answer, is an [attune.CodeUnavailable] error.
//
// Verify logs why it refuses a token. Its caller bounds how often: the API limits failures.
func (i *Issuer) Verify(ctx context.Context, token string) (auth.Caller, error) {
	caller, err := i.verify(ctx, token)
	if attune.CodeOf(err) == attune.CodeUnauthorized {
		return caller, i.refused(ctx, token, err)
	}
	return caller, err
}

func (i *Issuer) verify(ctx context.Context, token string) (auth.Caller, error) {
	// The token is not verified yet: one of another issuer does not make attune read keys.
	if statementOf(token).issuer != i.config.Issuer {
		return auth.Caller{}, invalidToken(errors.New("the token is of another issuer"))
	}
	found, err := i.discover(ctx)
	if err != nil {
		return auth.Caller{}, err
	}
	keys := &keySet{remote: found.keys}
	verified, err := gooidc.NewVerifier(i.config.Issuer, keys, &gooidc.Config{
		ClientID: i.config.Audience, SupportedSigningAlgs: found.algorithms,
	}).Verify(ctx, token)
	if keys.unanswered != nil {
		return auth.Caller{}, i.unavailable(keys.unanswered)
	}
	if expired, ok := errors.AsType[*gooidc.TokenExpiredError](err); ok && expired.Expiry.IsZero() {
		return auth.Caller{}, attune.Errorf(attune.CodeUnauthorized,
			"the token has no expiry: attune accepts only tokens with the claim exp")
	} else if ok {
		return auth.Caller{}, attune.Errorf(attune.CodeUnauthorized, "the token expired at %s", expired.Expiry.UTC().Format(time.RFC3339))
	}
	if err != nil {
		return auth.Caller{}, invalidToken(err)
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		return auth.Caller{}, attune.WrapError(attune.CodeUnauthorized, err, "the claims of the token cannot be read")
	}
	return i.config.Claims.Caller(claims)
}

func invalidToken(cause error) error {
	return attune.WrapError(attune.CodeUnauthorized, cause, "the token is not a valid token of the issuer for this audience")
}

// discover returns the keys of the issuer. It reads the discovery document once; after a failure, it tries again after
// [discoveryPeriod].
func (i *Issuer) discover(ctx context.Context) (*discovered, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.found != nil {
		return i.found, nil
	}
	if i.failure != nil && time.Since(i.triedAt) < discoveryPeriod {
		return nil, i.failure
	}
	// A caller that leaves does not end the attempt: other callers wait for it. The client has a timeout.
	found, err := i.read(gooidc.ClientContext(context.WithoutCancel(ctx), i.client))
	i.found, i.triedAt = found, time.Now()
	if err != nil {
		i.failure = i.unavailable(err)
		return nil, i.failure
	}
	return found, nil
}

func (i *Issuer) read(ctx context.Context) (*discovered, error) {
	provider, err := gooidc.NewProvider(ctx, i.config.Issuer)
	if err != nil {
		return nil, err
	}
	var document struct {
		KeysURL    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, err
	}
	if _, err := url.ParseRequestURI(document.KeysURL); err != nil {
		return nil, err
	}
	return &discovered{gooidc.NewRemoteKeySet(ctx, document.KeysURL), asymmetric(document.Algorithms)}, nil
}

func (i *Issuer) unavailable(cause error) error {
	return attune.WrapError(attune.CodeUnavailable, cause,
		"the tokens of the issuer %s cannot be verified: it %s", i.config.Issuer, trouble(cause))
}
