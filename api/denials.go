package api

import (
	"context"
	"sync"
	"time"

	"github.com/attune-go/attune/auth"
)

// Bounds of the entries that denied requests add, per process and principal: such a request costs its sender nothing. All requests
// without a valid token count as one principal. A request whose handler runs always gets its entry.
const (
	denialBurst  = 20
	denialPeriod = 10 * time.Second // between entries, after a burst
)

// denials bounds the entries of denied requests in the audit log. It counts the requests that get none, and the next entry of the
// principal has their number. It is safe for concurrent use.
type denials struct {
	limits *limiter // by principal

	mu      sync.Mutex
	omitted map[string]int // guarded by mu; requests without an entry since the last entry, by principal
}

func newDenials() *denials {
	return &denials{limits: newSlowLimiter(1/denialPeriod.Seconds(), denialBurst), omitted: map[string]int{}}
}

// allow reports whether a denied request of a principal gets an entry, and how many requests before it got none. When there are too
// many principals, the late ones count as one, as in a [limiter].
func (d *denials) allow(principal string) (omitted int, allowed bool) {
	allowed = d.limits.take(principal) == 0
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.omitted[principal]; !known && len(d.omitted) >= maxBuckets {
		principal = ""
	}
	if !allowed {
		d.omitted[principal]++
		return 0, false
	}
	omitted = d.omitted[principal]
	delete(d.omitted, principal)
	return omitted, true
}

// restore counts requests again whose number did not reach the audit log.
func (d *denials) restore(principal string, omitted int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.omitted[principal] += omitted
}

// addDenial adds the entry of a denied request, unless its principal has too many.
func (s *Server) addDenial(ctx context.Context, entry auth.AuditEntry) error {
	principal := ""
	if entry.Principal != nil {
		principal = principalKey(*entry.Principal)
	}
	omitted, allowed := s.denials.allow(principal)
	if !allowed {
		s.deps.Metrics.RateLimited(ctx, string(LimitedAudit))
		return nil
	}
	entry.Omitted = omitted
	_, err := s.deps.Audit.Add(ctx, entry)
	if err != nil {
		s.denials.restore(principal, omitted+1)
	}
	return err
}
