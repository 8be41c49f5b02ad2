package oidc

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/attune-go/attune"
)

// maxClaim bounds a claim of a refused token in the log, in bytes: it comes from any sender.
const maxClaim = 200

// statement is what a token says of itself. It is not verified.
type statement struct {
	keyID, issuer, audience string
	expiry                  string // with RFC 3339, or "" for none
}

// statementOf reads a token. What cannot be read is empty.
func statementOf(token string) statement {
	header, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	var key struct {
		ID string `json:"kid"`
	}
	var claims struct {
		Issuer   string          `json:"iss"`
		Audience json.RawMessage `json:"aud"`
		Expiry   *float64        `json:"exp"`
	}
	decode(header, &key)
	decode(body, &claims)
	s := statement{keyID: key.ID, issuer: claims.Issuer, audience: string(claims.Audience)}
	if claims.Expiry != nil {
		s.expiry = attune.FormatTime(time.Unix(int64(*claims.Expiry), 0))
	}
	return s
}

// decode reads a part of a token as far as it can be read.
func decode(part string, into any) {
	if text, err := base64.RawURLEncoding.DecodeString(part); err == nil {
		_ = json.Unmarshal(text, into) // an error leaves members empty
	}
}

// refused logs why a token is refused, and returns err. The log never has the token: it works until it expires where it is valid.
func (i *Issuer) refused(ctx context.Context, token string, err error) error {
	s := statementOf(token)
	reason := err.Error()
	if cause := errors.Unwrap(err); cause != nil {
		reason = cause.Error()
	}
	i.config.Logger.InfoContext(ctx, "a JSON web token was refused", "reason", attune.Shorten(reason, 2*maxClaim),
		"issuer", attune.Shorten(s.issuer, maxClaim), "wants_issuer", i.config.Issuer,
		"audience", attune.Shorten(s.audience, maxClaim), "wants_audience", i.config.Audience,
		"kid", attune.Shorten(s.keyID, maxClaim), "expires", s.expiry)
	return err
}

// statusError is an answer of the issuer with another status than 200.
type statusError int

func (s statusError) Error() string {
	return fmt.Sprintf("the issuer answered %d %s", int(s), http.StatusText(int(s)))
}

// trouble says what is wrong with the issuer, for a sentence that begins with its URL, and what to do.
func trouble(cause error) string {
	if status, ok := errors.AsType[statusError](cause); ok && status == http.StatusNotFound {
		return "answers, but it has no discovery document or keys there (404): set oidc.issuer to the URL that its tokens have in iss"
	} else if ok {
		return fmt.Sprintf("answers, but with the status %d: look into its log", int(status))
	}
	if mismatch, ok := errors.AsType[*gooidc.IssuerMismatchError](cause); ok {
		return fmt.Sprintf("answers, but its discovery document names the issuer %q: set oidc.issuer to exactly that",
			attune.Shorten(mismatch.Discovered, maxClaim))
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](cause); ok {
		return "answers, but its certificate is not trusted: name the file of its CA in SSL_CERT_FILE, in the environment of the process"
	}
	if _, ok := errors.AsType[*url.Error](cause); ok || errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled) {
		return "does not answer: check its address, and the network between it and attune"
	}
	if _, ok := errors.AsType[*keysError](cause); ok {
		return "answers, but not with a set of keys: look at what is at the jwks_uri of its discovery document"
	}
	return "answers, but its discovery document cannot be read: set oidc.issuer to the URL that its tokens have in iss"
}
