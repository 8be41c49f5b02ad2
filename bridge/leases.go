package bridge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/attune-go/attune"
)

const (
	// scansPerLease is how often per lease Run ends expired leases.
	scansPerLease = 4
	// expireBatch bounds the leases that one transaction ends.
	expireBatch = 200
)

// LeaseStore stores the leases of attempts. The clock of the database measures them. LeaseStore never renews an expired
// lease.
type LeaseStore interface {
	// Renew returns one answer per renewal, in the same order.
	Renew(ctx context.Context, renewals []attune.ExecutionRenewMessage, lease time.Duration) ([]attune.Renewal, error)
	// ExpireLeases ends up to limit attempts with an expired lease, as if their worker was reported lost, and returns their
	// number.
	ExpireLeases(ctx context.Context, limit int) (int, error)
}

// SignedRenewal is a renewal as it arrives.
type SignedRenewal = attune.Signed[attune.ExecutionRenewMessage]

// Leases renews the leases of workers, and ends the attempts whose lease has expired. An attempt of another installation counts as
// lost: it is older than the restore of the database.
//
// A renewal with a wrong signature, or with an attempt that its key has not claimed or that is one of another pool, becomes a dead
// letter. A renewal that arrives again, or after a later one, is counted and answered: it renews nothing, no attempt is lost by it, and its
// reply promises nothing about the attempts that it did not renew.
type Leases struct {
	store        LeaseStore
	signer       *Signer
	installation attune.InstallationID
	lease        time.Duration
	ping         func(context.Context) error
	expired      func(context.Context, int)
	refused      Refused
	log          *slog.Logger
}

// NewLeases returns Leases of an installation with leases of the given length. ping returns an error unless both broker and database
// answer: renewals need both. expired is called with the number of expired leases, refused for every refused renewal.
func NewLeases(
	store LeaseStore, signer *Signer, installation attune.InstallationID, lease time.Duration, ping func(context.Context) error,
	expired func(context.Context, int), refused Refused, log *slog.Logger,
) *Leases {
	return &Leases{
		store: store, signer: signer, installation: installation, lease: lease, ping: ping, expired: expired, refused: refused, log: log,
	}
}

// Handle returns one signed reply per renewal, in the order of the batch. Its error is an [attune.BatchError] if it refused renewals;
// [Failed] answers these.
func (l *Leases) Handle(ctx context.Context, batch []SignedRenewal) ([]attune.SignedReply, error) {
	verified := verify(ctx, batch, l.refused)
	replies := make([]attune.ExecutionRenewReply, len(batch))
	renewals, places := verified.good()
	lost := make([][]attune.AttemptID, len(renewals))
	for i, renewal := range renewals {
		renewals[i].Attempts, lost[i] = split(renewal.Attempts, l.installation,
			func(id attune.AttemptID) attune.InstallationID { return id.Installation })
	}
	answers, err := l.store.Renew(ctx, renewals, l.lease)
	if err != nil {
		return nil, fmt.Errorf("renew the leases of %d workers: %w", len(renewals), err)
	}
	for i, answer := range answers {
		if err := l.check(ctx, renewals[i], answer); err != nil {
			verified.refuse(places[i], err)
		}
		answer.Reply.Lost = append(answer.Reply.Lost, lost[i]...)
		replies[places[i]] = answer.Reply
	}
	signed, err := signAll(l.signer, batch, replies, verified)
	return signed, cmp.Or(err, verified.err())
}

// check returns an error if a renewal is refused. A late renewal is counted and no error. Its signature proves that the worker of the
// attempt has sent it, and honest renewals are late too: the broker delivers a renewal again when its receiver has ended before it
// acknowledged the renewal, and a worker sends the next renewal while a slow bridge has not handled the last one.
func (l *Leases) check(ctx context.Context, renewal attune.ExecutionRenewMessage, answer attune.Renewal) error {
	switch {
	case len(answer.OtherPool) > 0:
		l.refused(ctx, attune.KeyExecutionRenew, attune.RefusedPool)
		return attune.Refuse(attune.RefusedPool, "renewal of worker %q, key %s: attempt %d of execution %d is not one of the pool %q",
			renewal.Worker, renewal.Key, answer.OtherPool[0].Attempt, answer.OtherPool[0].Execution, renewal.Pool)
	case len(answer.Forged) > 0:
		l.refused(ctx, attune.KeyExecutionRenew, attune.RefusedKey)
		return attune.Refuse(attune.RefusedKey, "renewal of worker %q, key %s: the key has not claimed attempt %d of execution %d",
			renewal.Worker, renewal.Key, answer.Forged[0].Attempt, answer.Forged[0].Execution)
	case len(answer.Reply.Late) > 0:
		l.refused(ctx, attune.KeyExecutionRenew, attune.RefusedLate)
	}
	return nil
}

// Run ends attempts whose lease has expired, several times per lease. When ctx ends, it returns nil. Run may run in any
// number of processes: one of them ends each lease.
//
// A worker may be silent because the broker or the database was down. So Run ends attempts only when both services have
// answered twice in a row: by then the bridge has handled the reports and renewals that waited for a service, or for this
// process to start.
func (l *Leases) Run(ctx context.Context) error {
	tick := time.NewTicker(l.lease / scansPerLease)
	defer tick.Stop()
	answered := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		err := l.scan(ctx, answered)
		answered = err == nil
		if err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "expired leases not ended, trying again", "error", err)
		}
	}
}

// scan ends attempts with an expired lease, if the services answered in the scan before and answer in this one.
func (l *Leases) scan(ctx context.Context, answered bool) error {
	limited, cancel := context.WithTimeout(ctx, l.lease/scansPerLease)
	defer cancel()
	if err := l.ping(limited); err != nil || !answered {
		return err
	}
	return l.expire(ctx)
}

// expire ends every attempt with an expired lease.
func (l *Leases) expire(ctx context.Context) error {
	for {
		n, err := l.store.ExpireLeases(ctx, expireBatch)
		if err != nil {
			return fmt.Errorf("end executions with an expired lease: %w", err)
		}
		if n > 0 {
			l.expired(ctx, n)
			l.log.WarnContext(ctx, "executions abandoned: their workers did not renew their leases", "executions", n)
		}
		if n < expireBatch {
			return nil
		}
	}
}
