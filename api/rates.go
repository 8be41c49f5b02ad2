package api

import (
	"context"
	"crypto/sha256"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// CodeRateLimited is the code of a 429 for a caller that sends too much.
const CodeRateLimited = "rate_limited"

// Limited says which limit a request has reached.
type Limited string

// The limits.
const (
	LimitedToken    Limited = "token"    // the requests of one caller
	LimitedWebhook  Limited = "webhook"  // the deliveries of one trigger
	LimitedFailures Limited = "failures" // the failed authentications of one address
	// LimitedConnections counts connections that were closed because there were too many.
	LimitedConnections Limited = "connections"
	// LimitedAudit counts denied requests without an entry of their own in the audit log.
	LimitedAudit Limited = "audit"
)

// rates are the limits of a process. Other processes have their own.
type rates struct {
	callers  *limiter // by caller
	webhooks *limiter // by trigger; counts deliveries with a valid signature, so that only its sender can reach the limit
	failures *limiter // by remote address
	proven   *proven
}

func newRates(c Config) *rates {
	return &rates{
		callers: newLimiter(c.CallerRate), webhooks: newLimiter(c.WebhookRate), failures: newLimiter(c.FailureRate),
		proven: &proven{tokens: map[[sha256.Size]byte]time.Time{}, now: time.Now},
	}
}

// rateKey names a caller to its limiter: a token keeps its name when it is rotated.
func rateKey(c auth.Caller) string { return principalKey(c.Principal) }

func principalKey(p attune.Principal) string { return string(p.Method) + "/" + p.Name }

// addressKey names the sender of a request to a limiter: its IPv4 address, or its IPv6 network of 64 bits, which one customer has.
func addressKey(r *http.Request) string {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := remote.Addr().Unmap()
	if addr.Is4() {
		return addr.String()
	}
	network, _ := addr.WithZone("").Prefix(64) // 64 is in range
	return network.String()
}

// limited returns the problem of a request that must wait, and counts it. It returns nil when wait is 0.
func (s *Server) limited(r *http.Request, limit Limited, wait time.Duration, detail string) error {
	if wait <= 0 {
		return nil
	}
	s.deps.Metrics.RateLimited(r.Context(), string(limit))
	seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
	return newProblem(http.StatusTooManyRequests, CodeRateLimited, detail+": try again in "+seconds+" s").with("Retry-After", seconds)
}

// attempt runs try, a step in the authentication of a request. An error with the code failure is a failed attempt. An address with
// too many of them is refused before try runs, and attempts that are under way count as failed until they have succeeded. A caller
// that is proven is not refused, but its failures count.
func (s *Server) attempt(r *http.Request, isProven bool, failure attune.Code, try func(context.Context) error) error {
	address := addressKey(r)
	if isProven {
		err := try(r.Context())
		if attune.CodeOf(err) == failure {
			s.rates.failures.take(address)
		}
		return err
	}
	settle, wait := s.rates.failures.reserve(r.Context(), address)
	if settle == nil {
		return s.limited(r, LimitedFailures, wait, "too many failed authentications from this address")
	}
	succeeded := true // also in a panic
	defer func() { settle(succeeded) }()
	err := try(r.Context())
	succeeded = attune.CodeOf(err) != failure
	return err
}

const (
	// provenAge is how long a token that was accepted counts as proven.
	provenAge = 10 * time.Minute
	// maxProven bounds the memory of the proven tokens.
	maxProven = 10_000
)

// provenWebhook names the sender of a delivery to proven. The key of a webhook is public, so it is proven for one address only: a right
// signature from another address says nothing about this one. No token has a space.
func provenWebhook(r *http.Request, key string) string { return "webhook " + addressKey(r) + " " + key }

// proven remembers tokens that were accepted, and webhooks that got a delivery with a right signature from an address, by their digest.
// Such a caller is not refused because others at its address fail: many callers can share one, behind a proxy or at a service that sends
// webhooks for all of its users. It is safe for concurrent use.
type proven struct {
	now func() time.Time

	mu     sync.Mutex
	tokens map[[sha256.Size]byte]time.Time // guarded by mu; when the token was accepted
}

func (p *proven) has(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, known := p.tokens[sha256.Sum256([]byte(token))]
	return known && p.now().Sub(at) < provenAge
}

func (p *proven) add(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tokens) >= maxProven {
		clear(p.tokens)
	}
	p.tokens[sha256.Sum256([]byte(token))] = p.now()
}

func (p *proven) remove(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tokens, sha256.Sum256([]byte(token)))
}
