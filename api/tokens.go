package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Tokens makes, lists and ends tokens. A name without a token that is not revoked is an [attune.CodeNotFound] error, and a name
// that is taken an [attune.CodeConflict] error.
type Tokens interface {
	Create(ctx context.Context, request auth.TokenRequest, secret auth.Secret, by attune.Principal) (auth.Token, error)
	// Rotate gives a token another secret. Its earlier secrets stay valid for keepOld. A life of 0 leaves the expiry as it is.
	Rotate(ctx context.Context, name string, secret auth.Secret, keepOld, life time.Duration) (auth.Token, error)
	Revoke(ctx context.Context, name string, by attune.Principal) (auth.Token, error)
	// List returns a page of tokens, newest first, with or without the revoked ones.
	List(ctx context.Context, revoked bool, page attune.Page) ([]auth.Token, error)
}

// NewToken is the body of POST /api/v1/tokens.
type NewToken struct {
	Attribution
	Name      string       `json:"name" doc:"Author of what the token's holder does; unique among the tokens that are not revoked"`
	Role      auth.Role    `json:"role" doc:"What the token's holder may do"`
	Triggers  []attune.Ref `json:"triggers,omitempty" doc:"Of the role event: the triggers whose events the holder may send"`
	ExpiresIn *string      `json:"expires_in,omitempty" example:"2160h" doc:"Time until the expiry; without it or with null, there is none"`
}

// TokenRotation is the body of POST /api/v1/tokens/{name}/rotate.
type TokenRotation struct {
	Attribution
	KeepOld   string  `json:"keep_old,omitempty" example:"10m" doc:"How long the earlier secret stays valid; default 10m"`
	ExpiresIn *string `json:"expires_in,omitempty" example:"2160h" doc:"New time until the expiry; without it, the expiry stays as it is"`
}

// IssuedToken is a token with its secret.
type IssuedToken struct {
	auth.Token

	Value string `json:"value" doc:"The token to send; attune shows it only in this response"`
	// Warnings are for people.
	Warnings []string `json:"warnings,omitempty" doc:"What looks like a mistake in the request, such as a trigger that no pack has"`
}

type listTokensInput struct {
	Paging
	Revoked bool `query:"revoked" doc:"List the revoked tokens too"`
}

type rotateTokenInput struct {
	TokenPath
	Body *TokenRotation
}

type revokeTokenInput struct {
	TokenPath
	Body *Attribution
}

// TokenPath is a path with the name of a token. It is exported because the framework reads only exported fields.
type TokenPath struct {
	Name string `path:"name" doc:"The token's name"`
}

func (s *Server) registerTokens() {
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/tokens", Tags: []string{"access"},
		Summary: "Create a token; the response is the only one with its secret", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusConflict},
	}, s.createToken)
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/tokens", Tags: []string{"access"},
		Summary: "List tokens, newest first, without their secrets",
	}, s.listTokens)
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "rotate-token", Method: http.MethodPost, Path: "/tokens/{name}/rotate", Tags: []string{"access"},
		Summary: "Give a token another secret; the earlier one stays valid for some time",
		Errors:  []int{http.StatusNotFound, http.StatusConflict},
	}, s.rotateToken)
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodPost, Path: "/tokens/{name}/revoke", Tags: []string{"access"},
		Summary: "End a token", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.revokeToken)
}

func (s *Server) createToken(ctx context.Context, in *struct{ Body NewToken }) (*response[IssuedToken], error) {
	author, err := in.Body.author(ctx)
	if err != nil {
		return nil, err
	}
	life, err := lifeOf(in.Body.ExpiresIn)
	if err != nil {
		return nil, err
	}
	value, secret := auth.NewToken()
	request := auth.TokenRequest{Name: in.Body.Name, Role: in.Body.Role, Triggers: in.Body.Triggers, Life: life}
	created, err := s.deps.Tokens.Create(ctx, request, secret, author.Principal)
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a token was created", "token", created.Name, "role", created.Role,
		"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	return &response[IssuedToken]{Body: IssuedToken{
		Token: created, Value: value, Warnings: s.unknownTriggers(ctx, request.Triggers),
	}}, nil
}

func (s *Server) listTokens(ctx context.Context, in *listTokensInput) (*response[List[auth.Token]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Tokens.List(ctx, in.Revoked, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(t auth.Token) int64 { return int64(t.ID) }, identity[auth.Token]), nil
}

func (s *Server) rotateToken(ctx context.Context, in *rotateTokenInput) (*response[IssuedToken], error) {
	body := TokenRotation{}
	if in.Body != nil {
		body = *in.Body
	}
	author, err := body.author(ctx)
	if err != nil {
		return nil, err
	}
	keepOld, life, err := body.times()
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	value, secret := auth.NewToken()
	rotated, err := s.deps.Tokens.Rotate(ctx, in.Name, secret, keepOld, life)
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a token was rotated", "token", rotated.Name,
		"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	return &response[IssuedToken]{Body: IssuedToken{Token: rotated, Value: value}}, nil
}

// times returns how long the earlier secret stays valid, and the new time until the expiry.
func (r TokenRotation) times() (keepOld, life time.Duration, err error) {
	if keepOld, err = duration("body.keep_old", r.KeepOld, auth.DefaultKeepOld); err != nil {
		return 0, 0, err
	}
	if life, err = lifeOf(r.ExpiresIn); err != nil {
		return 0, 0, err
	}
	return keepOld, life, auth.CheckKeepOld(keepOld)
}

// lifeOf returns the time until the expiry that a request names, or 0 if it names none. A text that is empty or out of bounds is an
// [attune.CodeInvalid] error: it must not make a token that does not expire.
func lifeOf(text *string) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	if *text == "" {
		return 0, attune.Errorf(attune.CodeInvalid, "body.expires_in: empty: use %s to %s, or leave it out",
			auth.MinTokenLife, auth.MaxTokenLife)
	}
	life, err := duration("body.expires_in", *text, 0)
	if err != nil {
		return 0, err
	}
	return life, auth.CheckLife(life)
}

func (s *Server) revokeToken(ctx context.Context, in *revokeTokenInput) (*response[auth.Token], error) {
	author, err := in.Body.author(ctx)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	revoked, err := s.deps.Tokens.Revoke(ctx, in.Name, author.Principal)
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a token was revoked", "token", revoked.Name,
		"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	return &response[auth.Token]{Body: revoked}, nil
}

// check returns an error for a name that no token of the database can have.
func (in TokenPath) check() error {
	if in.Name == auth.Bootstrap {
		return attune.Errorf(attune.CodeConflict, "the token of %s is in the settings of attune: change it there", auth.Bootstrap)
	}
	if err := auth.CheckTokenName(in.Name); err != nil {
		return attune.Errorf(attune.CodeNotFound, "there is no such token: %s", err)
	}
	return nil
}

// duration reads a length of time, or returns otherwise for an empty text. A text that is no length of time is an
// [attune.CodeInvalid] error.
func duration(location, text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	var d attune.Duration
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return 0, attune.Errorf(attune.CodeInvalid, "%s: %s", location, attune.Shorten(err.Error(), maxMessageBytes))
	}
	return time.Duration(d), nil
}
