package demo

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

// Measure is the result for one queue, from its stored rows.
type Measure struct {
	Queue      attune.QueueKey
	Limit      int
	Accepted   int
	Outcomes   map[string]int // count by status of the execution, or of an enforcement without execution
	MaxActive  int            // highest number of slots held at the same time
	Inversions int            // grants out of order
	Wait       Quantiles      // from admission to grant
	HandOver   Quantiles      // from the end of an execution to the start of the next, while a ticket waited
	Violations []string       // broken promises
}

// Quantiles are quantiles of N durations; all zero when N is 0.
type Quantiles struct {
	N        int
	P50, P99 time.Duration
}

// MeasureQueue checks the rows of one queue and measures its times. executions are the executions of its enforcements. An
// enforcement that has not ended is a violation, too.
func MeasureQueue(rows proof.Rows, executions []attune.Execution) Measure {
	report := proof.Check(rows)
	m := Measure{
		Queue: rows.Queue, Limit: rows.Stats.MaxConcurrent, Accepted: len(rows.Enforcements), Outcomes: map[string]int{},
		MaxActive: report.Checked.MostActive,
	}
	for _, violation := range report.Violations {
		m.Violations = append(m.Violations, violation.String())
		if violation.Rule == proof.RuleOrder {
			m.Inversions++
		}
	}
	if n := report.Checked; n.Waiting+n.Active+n.Parked > 0 {
		m.Violations = append(m.Violations,
			fmt.Sprintf("not every enforcement has ended: %d wait, %d run, %d are parked", n.Waiting, n.Active, n.Parked))
	}
	m.measureTimes(rows.Enforcements, executions)
	return m
}

// run is one enforcement and its execution.
type run struct {
	enforcement attune.Enforcement
	execution   *attune.Execution // nil if there is none
}

// measureTimes sets the outcomes and the quantiles.
func (m *Measure) measureTimes(enforcements []attune.Enforcement, executions []attune.Execution) {
	byEnforcement := make(map[attune.EnforcementID]*attune.Execution, len(executions))
	for i, execution := range executions {
		byEnforcement[execution.Enforcement] = &executions[i]
	}
	var runs []run
	var waits []time.Duration
	for _, e := range slices.SortedFunc(slices.Values(enforcements), byGrant) {
		run := run{e, byEnforcement[e.ID]}
		runs = append(runs, run)
		m.Outcomes[run.outcome()]++
		if e.GrantedAt != nil && e.QueuedAt != nil {
			waits = append(waits, e.GrantedAt.Sub(*e.QueuedAt))
		}
	}
	m.Wait, m.HandOver = quantiles(waits), handOver(m.Limit, runs)
}

func byGrant(a, b attune.Enforcement) int { return cmp.Compare(a.GrantNumber, b.GrantNumber) }

func (r run) outcome() string {
	if r.execution != nil {
		return string(r.execution.Status)
	}
	return string(r.enforcement.Status)
}

// handOver measures the time from a freed slot to the next start. runs are in grant order. With a limit of L, the k-th grant
// becomes possible at the (k-L)-th end. A run counts only if its enforcement was in line at that time.
func handOver(limit int, runs []run) Quantiles {
	var started []run
	var ends []time.Time
	for _, run := range runs {
		if run.execution != nil && run.execution.StartedAt != nil && run.execution.FinishedAt != nil {
			started = append(started, run)
			ends = append(ends, *run.execution.FinishedAt)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	var took []time.Duration
	for k := limit; k < len(started) && limit > 0; k++ {
		freed := ends[k-limit]
		if queued := started[k].enforcement.QueuedAt; queued != nil && queued.Before(freed) {
			took = append(took, started[k].execution.StartedAt.Sub(freed))
		}
	}
	return quantiles(took)
}

func quantiles(durations []time.Duration) Quantiles {
	if len(durations) == 0 {
		return Quantiles{}
	}
	slices.Sort(durations)
	at := func(percent int) time.Duration { return durations[(len(durations)-1)*percent/100] }
	return Quantiles{N: len(durations), P50: at(50), P99: at(99)}
}
