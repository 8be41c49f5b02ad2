package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/doctor"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func TestExamine(t *testing.T) {
	t.Parallel()
	returning := func(name string, findings ...doctor.Finding) doctor.Check {
		return doctor.Check{Name: name, Run: func(context.Context) ([]doctor.Finding, error) { return findings, nil }}
	}
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := doctor.New("1.2.3",
			returning("fine", doctor.Finding{Severity: doctor.OK, What: "All is well."}),
			returning("mixed", doctor.Finding{Severity: doctor.Note, What: "a"}, doctor.Finding{Severity: doctor.Problem, What: "b"}),
			returning("silent"),
			doctor.Check{Name: "down", Run: func(context.Context) ([]doctor.Finding, error) {
				return nil, fmt.Errorf("ask: %w", attune.WrapError(attune.CodeUnavailable, errors.New("hunter2"), "it does not answer."))
			}},
			doctor.Check{Name: "panics", Run: func(context.Context) ([]doctor.Finding, error) { panic("oops") }},
			doctor.Check{Name: "obeys", Run: func(ctx context.Context) ([]doctor.Finding, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("ask: %w", ctx.Err())
			}},
			doctor.Check{Name: "hangs", Run: func(context.Context) ([]doctor.Finding, error) { <-release; return nil, nil }},
		)
		began := time.Now()
		diagnosis := d.Examine(t.Context())
		require.Equal(t, 5*time.Second, time.Since(began), "an examination takes as long as one check may take")
		require.Equal(t, doctor.Problem, diagnosis.Verdict)
		require.Equal(t, "1.2.3", diagnosis.Version)
		require.Equal(t, 6, diagnosis.Count(doctor.Problem))
		var texts []string
		for _, f := range diagnosis.Findings {
			texts = append(texts, fmt.Sprintf("%s %s: %s", f.Severity, f.Check, f.What))
		}
		require.Equal(t, []string{
			"problem mixed: b",
			"problem silent: This could not be checked: the check returned no finding.",
			"problem down: This could not be checked: it does not answer.",
			"problem panics: This could not be checked: the check panicked: oops.",
			"problem obeys: This could not be checked: no answer within 5s.",
			"problem hangs: This could not be checked: no answer within 5s.",
			"note mixed: a",
			"ok fine: All is well.",
		}, texts)
		close(release)
	})
}

// runCheck runs one check.
func runCheck(t *testing.T, check doctor.Check) []doctor.Finding {
	t.Helper()
	return doctor.New("test", check).Examine(t.Context()).Findings
}

func TestDiagnoseNothing(t *testing.T) {
	t.Parallel()
	require.Equal(t, doctor.OK, doctor.Diagnose(noon, "", nil).Verdict)
}

// TestChecks covers every finding of every check: its severity and the words of its texts.
func TestChecks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cases := []struct {
		name     string
		check    doctor.Check
		severity doctor.Severity
		contains []string // in where, what or do
	}{
		{"the database is current", database(attune.DatabaseSchema{Server: "17.2", Version: 6, Newest: 6}), doctor.OK, []string{"PostgreSQL 17.2", "version 6"}},
		{"the database is behind", database(attune.DatabaseSchema{Version: 5, Newest: 6}), doctor.Problem, []string{"needs 6", "attune migrate"}},
		{"the database is ahead", database(attune.DatabaseSchema{Version: 7, Newest: 6}), doctor.Warning, []string{"knows only 6", "upgrade"}},
		{"the outbox is relayed", outbox(attune.OutboxBacklog{Rows: 3, Oldest: time.Second}), doctor.OK, []string{"3 messages"}},
		{"the outbox is stuck", outbox(attune.OutboxBacklog{Rows: 3, Oldest: time.Minute}), doctor.Problem, []string{"3 messages", "1m0s", "role bridge"}},
		{"the broker answers", doctor.Broker(func(context.Context) (string, error) { return "4.0.5", nil }), doctor.OK, []string{"RabbitMQ 4.0.5"}},
		{"the broker queues are read", queues(doctor.Queue{Name: "attune.execution.claim", Consumers: 1, Reader: "a bridge"}, doctor.Queue{Name: "attune.retry.x"}),
			doctor.OK, []string{"All 2 queues"}},
		{"a broker queue is missing", queues(doctor.Queue{Name: "attune.execution.claim", Missing: true, Reader: "a bridge"}),
			doctor.Problem, []string{"attune.execution.claim", "does not exist", "Restart"}},
		{"a broker queue has no consumer", queues(doctor.Queue{Name: "attune.execution.claim", Ready: 4, Reader: "a process with the role bridge"}),
			doctor.Problem, []string{"4 messages wait", "role bridge"}},
		{"the queue of a pool is missing", queues(doctor.Queue{Name: "q", Missing: true, Reader: "a worker", Pool: "gpu"}), doctor.Note, []string{"gpu"}},
		{"a pool is idle", queues(doctor.Queue{Name: "q", Reader: "a worker", Pool: "gpu"}), doctor.Note, []string{"--worker-pool gpu"}},
		{"executions wait for a pool", queues(doctor.Queue{Name: "q", Ready: 2, Reader: "a worker", Pool: "gpu"}), doctor.Warning, []string{"2 executions wait", "free slot"}},
		{"there are no dead letters", dead(doctor.DeadLetters{}), doctor.OK, []string{"no dead letters"}},
		{"the queue of dead letters is full", dead(doctor.DeadLetters{Count: 10_000, Full: true}),
			doctor.Problem, []string{"10000 messages", "the broker drops the oldest ones"}},
		{"there are dead letters", dead(doctor.DeadLetters{Count: 2, Oldest: "m1 from q: undecodable"}),
			doctor.Problem, []string{"2 messages", "m1 from q: undecodable.", "attune-queue"}},
		{"Temporal answers", temporal(doctor.Engine{Server: "1.28", Namespace: "default", Retention: 24 * time.Hour}),
			doctor.OK, []string{"Temporal 1.28", `"default"`}},
		{"Temporal forgets too soon", temporal(doctor.Engine{Retention: time.Hour}), doctor.Warning, []string{"Raise the retention", "24h"}},
		{"a task queue is polled", polled([]time.Time{now}, []time.Time{now, now}), doctor.OK, []string{"1 temporal worker polls for workflows", "2 for activities"}},
		{"a task queue is never polled", polled(nil, nil), doctor.Problem, []string{"task queue q", "workflows or activities", "role orchestrator"}},
		{"the last poll is too old", polled([]time.Time{now}, []time.Time{now.Add(-4 * time.Minute)}), doctor.Problem, []string{"for activities"}},
		{"a task queue is half polled", polled(nil, []time.Time{now}), doctor.Problem, []string{"for workflows"}},
		{"enforcements are not admitted", admission(attune.Unadmitted{Queue: "a.b", Count: 3, Oldest: 7, Since: noon}), doctor.Problem,
			[]string{"queue a.b", "3 enforcements", "oldest is 7, of 2030-01-02T12:00:00Z", "role bridge", "dead letters", "enforcements not admitted"}},
		{"every enforcement is admitted", admission(), doctor.OK, []string{"reaches its queue"}},
		{"a queue is stalled", stalls(attune.Stall{Queue: "a.b", Limit: 2, Active: 1, Waiting: 3, OldestWaiting: noon}), doctor.Problem,
			[]string{"queue a.b", "3 tickets wait, 1 of 2 slots", "2030-01-02T12:00:00Z", "never granted", "queue/a.b"}},
		{"a queue stalls after a grant", stalls(attune.Stall{Queue: "a.b", LastGrantAt: &noon}), doctor.Problem, []string{"last grant was at 2030"}},
		{"no queue is stalled", stalls(), doctor.OK, []string{"grants"}},
		{"a slot is leaked", leaks(attune.Leak{Queue: "a.b", Enforcement: 7, GrantedAt: noon}), doctor.Problem,
			[]string{"queue a.b, enforcement 7", "no execution", "slots leaked"}},
		{"a slot outlives its execution", leaks(attune.Leak{Execution: 9, Status: attune.ExecutionFailed}), doctor.Problem, []string{"execution 9, which is failed"}},
		{"a retry is overdue", leaks(attune.Leak{Queue: "a.b", Execution: 9, Status: attune.ExecutionRetrying}), doctor.Problem,
			[]string{"next attempt of execution 9", "queue/a.b", "executions/9/cancel"}},
		{"no slot is leaked", leaks(), doctor.OK, []string{"Every held slot"}},
		{"an execution is unclaimed", holders(attune.Overdue{Queue: "a.b", Execution: 9, Status: attune.ExecutionRequested, Pool: "gpu"}), doctor.Warning,
			[]string{"execution 9", `pool "gpu"`, "POST /api/v1/executions/9/cancel"}},
		{"an execution is overdue", holders(attune.Overdue{Execution: 9, Status: attune.ExecutionRunning, Worker: "w1"}), doctor.Problem,
			[]string{`"w1"`, "still renews its lease", "executions/9/cancel"}},
		{"a cancelled execution is overdue", holders(attune.Overdue{Status: attune.ExecutionRunning, CancelRequested: true}), doctor.Problem,
			[]string{"has not reported an end", "Restart the worker"}},
		{"executions end in time", holders(), doctor.OK, []string{"No execution"}},
		{"a queue is paused", control(attune.ManualOverride{Queue: "a.b", Mode: attune.QueuePaused, ModeBy: &attune.QueueChange{At: noon, Author: authorNamed("ada", "freeze")}}),
			doctor.Note, []string{"It is paused, by ada at 2030-01-02T12:00:00Z (freeze).", "queues/a.b/resume"}},
		{"a limit is overridden", control(attune.ManualOverride{Queue: "a.b", Mode: attune.QueueOpen, Override: &attune.LimitOverride{Limit: 5, Until: noon}}),
			doctor.Note, []string{"manual limit is 5 until 2030-01-02T12:00:00Z.", "limit/clear"}},
		{"a limit is overridden for ever", control(attune.ManualOverride{Mode: attune.QueueOpen, Override: &attune.LimitOverride{}}),
			doctor.Note, []string{"until it is cleared"}},
		{"no queue has a manual mode or limit", control(), doctor.OK, []string{"Every queue is open"}},
		{"enforcements are parked", parked(attune.ParkedCount{Queue: "a.b", Count: 3, Oldest: 7}), doctor.Note, []string{"3 enforcements", "enforcements/7/retry"}},
		{"an enforcement is parked", parked(attune.ParkedCount{Queue: "a.b", Count: 1, Oldest: 7}), doctor.Note, []string{"Enforcement 7 is parked", "enforcements/7/retry"}},
		{"a rule is disabled", disabledRules(attune.DisabledRule{Rule: "demo.deploy-main", Change: attune.RuleChange{At: noon, Author: authorNamed("ada", "freeze")}}),
			doctor.Note, []string{"rule demo.deploy-main", "disabled by ada since 2030-01-02T12:00:00Z (freeze).", "rules/demo.deploy-main/enable"}},
		{"no rule is disabled", disabledRules(), doctor.OK, []string{"No rule is disabled"}},
		{"no enforcement is parked", parked(), doctor.OK, []string{"No enforcement"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			findings := runCheck(t, tc.check)
			require.Len(t, findings, 1)
			require.Equal(t, tc.severity, findings[0].Severity)
			require.Equal(t, tc.check.Name, findings[0].Check)
			for _, words := range tc.contains {
				require.Contains(t, findings[0].Where+" "+findings[0].What+" "+findings[0].Do, words)
			}
			if tc.severity != doctor.OK {
				require.NotEmpty(t, findings[0].Do, "a finding says what to do")
			}
		})
	}
}

// TestChecksAskForLongEnough checks the thresholds that the checks pass on: a short delay is no finding.
func TestChecksAskForLongEnough(t *testing.T) {
	t.Parallel()
	runCheck(t, doctor.Admission(func(_ context.Context, old time.Duration) ([]attune.Unadmitted, error) {
		require.Equal(t, time.Minute, old)
		return nil, nil
	}))
	runCheck(t, doctor.Stalls(func(_ context.Context, idle time.Duration) ([]attune.Stall, error) {
		require.Equal(t, time.Minute, idle)
		return nil, nil
	}))
	runCheck(t, doctor.Leaks(func(_ context.Context, old time.Duration) ([]attune.Leak, error) {
		require.Equal(t, time.Minute, old)
		return nil, nil
	}))
	runCheck(t, doctor.Holders(func(_ context.Context, grace, unclaimed time.Duration) ([]attune.Overdue, error) {
		require.Equal(t, 2*time.Minute, grace)
		require.Equal(t, 5*time.Minute, unclaimed)
		return nil, nil
	}))
}

func TestManyFindingsAreCutShort(t *testing.T) {
	t.Parallel()
	findings := runCheck(t, leaks(make([]attune.Leak, 25)...))
	require.Len(t, findings, 21)
	require.Equal(t, "And 5 more like these.", findings[20].What)
	require.Equal(t, doctor.Problem, findings[20].Severity)
}

// TestChecksThatFail checks that no check hides an error.
func TestChecksThatFail(t *testing.T) {
	t.Parallel()
	down := attune.Errorf(attune.CodeUnavailable, "it is down")
	for _, check := range []doctor.Check{
		doctor.Database(func(context.Context) (attune.DatabaseSchema, error) { return attune.DatabaseSchema{}, down }),
		doctor.Outbox(func(context.Context) (attune.OutboxBacklog, error) { return attune.OutboxBacklog{}, down }),
		doctor.Broker(func(context.Context) (string, error) { return "", down }),
		doctor.Topology(func(context.Context) ([]doctor.Queue, error) { return nil, down }),
		doctor.DeadLetterQueue(func(context.Context) (doctor.DeadLetters, error) { return doctor.DeadLetters{}, down }),
		doctor.Temporal(func(context.Context) (doctor.Engine, error) { return doctor.Engine{}, down }),
		doctor.Installation(
			func(context.Context) (attune.Installation, error) { return attune.Installation{ID: "one"}, nil },
			func(context.Context) (attune.Installation, error) { return attune.Installation{}, down },
		),
		doctor.QueueProblems(func(context.Context) ([]doctor.QueueProblem, error) { return nil, down }),
		doctor.TaskQueue("q", func(context.Context) ([]time.Time, []time.Time, error) { return nil, nil, down }),
		doctor.Admission(func(context.Context, time.Duration) ([]attune.Unadmitted, error) { return nil, down }),
		doctor.Stalls(func(context.Context, time.Duration) ([]attune.Stall, error) { return nil, down }),
		doctor.Leaks(func(context.Context, time.Duration) ([]attune.Leak, error) { return nil, down }),
		doctor.Holders(func(context.Context, time.Duration, time.Duration) ([]attune.Overdue, error) { return nil, down }),
		doctor.ManualOverrides(func(context.Context) ([]attune.ManualOverride, error) { return nil, down }),
		doctor.Parked(func(context.Context) ([]attune.ParkedCount, error) { return nil, down }),
	} {
		t.Run(check.Name, func(t *testing.T) {
			t.Parallel()
			findings := runCheck(t, check)
			require.Len(t, findings, 1)
			require.Equal(t, doctor.Problem, findings[0].Severity)
			require.Equal(t, "This could not be checked: it is down.", findings[0].What)
		})
	}
}

func database(s attune.DatabaseSchema) doctor.Check {
	return doctor.Database(func(context.Context) (attune.DatabaseSchema, error) { return s, nil })
}

func outbox(b attune.OutboxBacklog) doctor.Check {
	return doctor.Outbox(func(context.Context) (attune.OutboxBacklog, error) { return b, nil })
}

func queues(q ...doctor.Queue) doctor.Check {
	return doctor.Topology(func(context.Context) ([]doctor.Queue, error) { return q, nil })
}

func dead(d doctor.DeadLetters) doctor.Check {
	return doctor.DeadLetterQueue(func(context.Context) (doctor.DeadLetters, error) { return d, nil })
}

func temporal(e doctor.Engine) doctor.Check {
	return doctor.Temporal(func(context.Context) (doctor.Engine, error) { return e, nil })
}

func polled(workflows, activities []time.Time) doctor.Check {
	return doctor.TaskQueue("q", func(context.Context) (w, a []time.Time, err error) { return workflows, activities, nil })
}

func admission(u ...attune.Unadmitted) doctor.Check {
	return doctor.Admission(func(context.Context, time.Duration) ([]attune.Unadmitted, error) { return u, nil })
}

func stalls(s ...attune.Stall) doctor.Check {
	return doctor.Stalls(func(context.Context, time.Duration) ([]attune.Stall, error) { return s, nil })
}

func leaks(l ...attune.Leak) doctor.Check {
	return doctor.Leaks(func(context.Context, time.Duration) ([]attune.Leak, error) { return l, nil })
}

func holders(o ...attune.Overdue) doctor.Check {
	return doctor.Holders(func(context.Context, time.Duration, time.Duration) ([]attune.Overdue, error) { return o, nil })
}

func control(b ...attune.ManualOverride) doctor.Check {
	return doctor.ManualOverrides(func(context.Context) ([]attune.ManualOverride, error) { return b, nil })
}

func parked(p ...attune.ParkedCount) doctor.Check {
	return doctor.Parked(func(context.Context) ([]attune.ParkedCount, error) { return p, nil })
}

func disabledRules(r ...attune.DisabledRule) doctor.Check {
	return doctor.DisabledRules(func(context.Context) ([]attune.DisabledRule, error) { return r, nil })
}

// authorNamed is an author that the API has authenticated.
func authorNamed(name, note string) attune.Author {
	return attune.Author{Principal: attune.Principal{Name: name, Method: attune.AuthToken}, Note: note}
}
