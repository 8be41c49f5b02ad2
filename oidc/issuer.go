package oidc

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
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
	Logger    *slog.Logger     // of refused tokens; optional
	Now       func() time.Time // default [time.Now]
}

// requestTimeout bounds one request to the issuer.
const requestTimeout = 5 * time.Second

// Issuer verifies tokens. It is safe for concurrent use.
type Issuer struct {
	config Config
	client *http.Client

	mu       sync.Mutex
	document *document // guarded by mu; nil: the next reading of the keys reads the document, too
	known    *keySet   // guarded by mu; of the latest reading that has succeeded
	running  *reading  // guarded by mu; nil: none
	failure  error     // guarded by mu; of the latest reading
	failedAt time.Time // guarded by mu
}

// New returns the issuer of a configuration. It asks the issuer nothing.
func New(config Config) *Issuer {
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	if config.Now == nil {
		config.Now = time.Now
	}
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
	keys, err := i.currentKeys(ctx)
	if err != nil {
		return auth.Caller{}, err
	}
	judge := &judge{issuer: i, keys: keys}
	_, err = gooidc.NewVerifier(i.config.Issuer, judge, &gooidc.Config{
		ClientID: i.config.Audience, SupportedSigningAlgs: keys.algorithms, Now: i.config.Now,
	}).Verify(ctx, token)
	if judge.unanswered != nil {
		return auth.Caller{}, i.unavailable(judge.unanswered)
	}
	if expired, ok := errors.AsType[*gooidc.TokenExpiredError](err); ok && expired.Expiry.IsZero() {
		return auth.Caller{}, attune.Errorf(attune.CodeUnauthorized,
			"the token has no expiry: attune accepts only tokens with the claim exp")
	} else if ok {
		return auth.Caller{}, attune.Errorf(attune.CodeUnauthorized, "the token expired at %s", attune.FormatTime(expired.Expiry))
	}
	if err != nil {
		return auth.Caller{}, invalidToken(err)
	}
	claims, err := judge.claims.values()
	if err != nil {
		return auth.Caller{}, attune.WrapError(attune.CodeUnauthorized, err, "the claims of the token cannot be read")
	}
	return i.config.Claims.Caller(claims)
}

func invalidToken(cause error) error {
	return attune.WrapError(attune.CodeUnauthorized, cause, "the token is not a valid token of the issuer for this audience")
}

// unavailable returns the error of tokens that cannot be judged. The cause can be such an error already.
func (i *Issuer) unavailable(cause error) error {
	if attune.CodeOf(cause) == attune.CodeUnavailable {
		return cause
	}
	return attune.WrapError(attune.CodeUnavailable, cause,
		"the tokens of the issuer %s cannot be verified: it %s", i.config.Issuer, trouble(cause))
}
