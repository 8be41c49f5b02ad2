package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

// TestEnforcements_AdmitRatesConcurrently is S18: fifty callers in two processes admit at once, in ten bursts more than a window apart.
// Each burst gets exactly the limit.
func TestEnforcements_AdmitRatesConcurrently(t *testing.T) {
	t.Parallel()
	const callers, each, bursts, limit = 50, 4, 10, 37
	b := setup(t)
	b.sayGlobally(t, rated(rateOf("all", limit, time.Hour)))
	b.say(t, policy.ScopeAction, string(deploy), attune.Policy{
		Rate: []attune.Rate{rateOf("own", limit+20, time.Hour)}, Quota: daily("units", 100_000).Quota,
	})
	for burst := range bursts {
		ids := append(b.gated(t, deploy, callers*each/2), b.gated(t, notify, callers*each/2)...)
		batches := make([][]attune.EnforcementID, callers)
		for i, id := range ids {
			batches[i%callers] = append(batches[i%callers], id)
		}
		var processes sync.WaitGroup
		outputs, errs := make([][]byte, 2), make([]error, 2)
		for i, some := range [][][]attune.EnforcementID{batches[:callers/2], batches[callers/2:]} {
			processes.Go(func() { outputs[i], errs[i] = admitInProcess(t, b.url, some) })
		}
		processes.Wait()
		require.NoError(t, errors.Join(errs...), "%s%s", outputs[0], outputs[1])
		counted := fmt.Sprintf(`SELECT count(*) FROM enforcements WHERE id BETWEEN %d AND %d AND status = `, ids[0], ids[len(ids)-1])
		require.EqualValues(t, limit, b.count(t, counted+`'queued'`), "burst %d", burst)
		require.EqualValues(t, callers*each-limit, b.count(t, counted+`'rejected' AND reason = 'rate_limited'`))
		b.pass(t, time.Hour)
	}
	require.Zero(t, b.count(t, `
		SELECT count(*) FROM (SELECT n - units - lag(n, 1, 0) OVER (PARTITION BY limiter_id ORDER BY n) AS gap FROM limiter_log) g WHERE gap <> 0`),
		"the units are numbered without gaps")
	_, ofQuotas := b.units(t)
	require.Equal(t, b.count(t, `SELECT count(*) FROM enforcements e JOIN actions a ON a.id = e.action_id WHERE a.ref = 'demo.deploy' AND e.status = 'queued'`),
		ofQuotas)
}

// The environment of a process of admitInProcess.
const (
	admitURL     = "TEST_ADMIT_URL"
	admitBatches = "TEST_ADMIT_BATCHES"
)

// admitInProcess admits batches in a process of its own, all at once.
func admitInProcess(t *testing.T, url string, batches [][]attune.EnforcementID) ([]byte, error) {
	t.Helper()
	document, err := json.Marshal(batches)
	if err != nil {
		return nil, err
	}
	process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAdmitter$", "-test.count=1")
	process.Env = append(os.Environ(), admitURL+"="+url, admitBatches+"="+string(document))
	return process.CombinedOutput()
}

// TestAdmitter is the process of admitInProcess.
func TestAdmitter(t *testing.T) {
	t.Parallel()
	url := os.Getenv(admitURL)
	if url == "" {
		t.Skip("another test runs this one in a process of its own")
	}
	var batches [][]attune.EnforcementID
	require.NoError(t, json.Unmarshal([]byte(os.Getenv(admitBatches)), &batches))
	b := open(t, postgres.Config{URL: url, MaxConns: 24})
	errs := make([]error, len(batches))
	var callers sync.WaitGroup
	for i, batch := range batches {
		callers.Go(func() { _, errs[i] = b.enforcements.Admit(t.Context(), batch) })
	}
	callers.Wait()
	require.NoError(t, errors.Join(errs...))
}

// TestEnforcements_AdmitRatesInterrupted ends an admission after it has locked the rate, and admits the same enforcements again.
func TestEnforcements_AdmitRatesInterrupted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sayGlobally(t, attune.Policy{Rate: []attune.Rate{rateOf("all", 2, time.Hour)}, Quota: daily("daily", 100).Quota})
	b.tickets(t, b.gated(t, notify, 1)...)
	ids := b.gated(t, deploy, 2)
	blocker := b.conn(t)
	tx, err := blocker.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM quota_usage FOR UPDATE`)
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(t.Context())
	admitted := make(chan error, 1)
	go func() {
		_, err := b.enforcements.Admit(ctx, ids)
		admitted <- err
	}()
	require.Eventually(t, func() bool {
		return b.count(t, fmt.Sprintf(`SELECT count(*) FROM pg_stat_activity WHERE %d = ANY (pg_blocking_pids(pid))`, blocker.PgConn().PID())) == 1
	}, time.Minute, 10*time.Millisecond)
	interrupt()
	require.Error(t, <-admitted)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Len(t, b.tickets(t, ids...), 1)
	ofRates, ofQuotas := b.units(t)
	require.Equal(t, []int64{2, 2}, []int64{ofRates, ofQuotas})
}
