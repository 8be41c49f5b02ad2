package oidc

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

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
	response.Body = &bounded{response.Body, maxAnswerBytes}
	return response, nil
}

// bounded is a body that fails after a number of bytes.
type bounded struct {
	io.ReadCloser

	left int64
}

// Read implements [io.Reader].
func (b *bounded) Read(data []byte) (int, error) {
	n, err := b.ReadCloser.Read(data)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("it has more than %d KiB", maxAnswerBytes>>10)
	}
	return n, err
}
