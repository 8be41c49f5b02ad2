package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/attune-go/attune/internal/client"
)

// What to do when a request to the API fails.
const (
	apiAdvice    = "Start attune with the role api, or name its URL with --url."
	caAdvice     = "Name the CA of the API's certificate with --ca, and the API by a name that is in the certificate with --url."
	clientAdvice = "The API asks for a certificate of one of its client CAs: name yours with --client-cert and --client-key."
	httpsAdvice  = "The API has a certificate: begin the URL with https:// in --url or ATTUNE_URL."
	httpAdvice   = "The API has no certificate: begin the URL with http:// in --url or ATTUNE_URL, " +
		"or give attune one with --tls-cert and --tls-key."
	otherAdvice = "This does not look like attune's API: check the host, the port and the path of --url or ATTUNE_URL."
)

// plainToTLS is in the answer of a server with TLS, of Go and of others, to a request without TLS.
const plainToTLS = "HTTP request to an HTTPS server"

// withAPIAdvice adds to the error of a request what to do about it.
func withAPIAdvice(err error) error {
	if advice := adviceFor(err); advice != "" {
		return fmt.Errorf("%w. %s", err, advice)
	}
	return err
}

func adviceFor(err error) string {
	if problem, ok := errors.AsType[*client.ProblemError](err); ok {
		return adviceForProblem(problem)
	}
	if errors.Is(err, client.ErrNoDocument) {
		return otherAdvice
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return caAdvice
	}
	if _, unanswered := errors.AsType[*url.Error](err); !unanswered || errors.Is(err, context.Canceled) {
		return ""
	}
	// The libraries have no types for these errors.
	text := err.Error()
	for _, alert := range []string{"certificate required", "bad certificate", "unknown certificate authority", "unknown certificate"} {
		if strings.Contains(text, "remote error: tls: "+alert) {
			return clientAdvice
		}
	}
	if strings.Contains(text, "server gave HTTP response to HTTPS client") || strings.Contains(text, "does not look like a TLS handshake") {
		return httpAdvice
	}
	return apiAdvice
}

func adviceForProblem(problem *client.ProblemError) string {
	switch {
	case strings.Contains(problem.Detail, plainToTLS):
		return httpsAdvice
	case problem.Status == http.StatusUnauthorized && problem.TokenFrom != "":
		return "The token comes from " + problem.TokenFrom + "."
	case problem.Foreign && (problem.Status == http.StatusNotFound || problem.Status == http.StatusMethodNotAllowed):
		return otherAdvice
	default:
		return ""
	}
}
