package demo

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Row is one accepted enforcement and what became of it, as the rows say.
type Row struct {
	Enforcement attune.Enforcement
	Execution   *attune.Execution // nil if there is none
}

// Measure is what the rows of one queue say about how it was run.
type Measure struct {
	Queue      attune.QueueKey
	Limit      int
	Accepted   int
	Outcomes   map[string]int // status of the execution, or of an enforcement that has none
	MaxActive  int            // highest number of executions at the same time
	Inversions int            // grants that came after one of a higher sequence
	Wait       Quantiles      // accepted → granted
	HandOver   Quantiles      // an execution ends → the next one starts, while somebody waited
	Violations []string       // promises that were broken
}

// Quantiles of a list of durations; zero when it was empty.
type Quantiles struct {
	N        int
	P50, P99 time.Duration
}

// MeasureQueue measures one queue. Times that are compared with each other come from one clock, the database's.
func MeasureQueue(key attune.QueueKey, limit int, runs []Row) Measure {
	runs = slices.Clone(runs)
	slices.SortFunc(runs, func(a, b Row) int { return cmp.Compare(a.Enforcement.GrantNumber, b.Enforcement.GrantNumber) })
	m := Measure{
		Queue: key, Limit: limit, Accepted: len(runs), Outcomes: map[string]int{},
		MaxActive: maxActive(runs), Inversions: inversions(runs), HandOver: handOver(limit, runs),
	}
	var waits []time.Duration
	for _, run := range runs {
		m.Outcomes[outcome(run)]++
		if e := run.Enforcement; e.GrantedAt != nil && e.QueuedAt != nil {
			waits = append(waits, e.GrantedAt.Sub(*e.QueuedAt))
		}
	}
	m.Wait = quantiles(waits)
	m.Violations = violations(m, runs)
	return m
}

func outcome(run Row) string {
	if run.Execution != nil {
		return string(run.Execution.Status)
	}
	return string(run.Enforcement.Status)
}

func violations(m Measure, runs []Row) []string {
	var broken []string
	if m.MaxActive > m.Limit {
		broken = append(broken, fmt.Sprintf("%d executions at once, the limit is %d", m.MaxActive, m.Limit))
	}
	if m.Inversions > 0 {
		broken = append(broken, fmt.Sprintf("%d grants out of order", m.Inversions))
	}
	sequences, first := map[int64]bool{}, int64(math.MaxInt64)
	for _, run := range runs {
		sequences[run.Enforcement.Sequence] = true
		first = min(first, run.Enforcement.Sequence)
		if !run.Enforcement.Status.Terminal() || run.Execution != nil && !run.Execution.Status.Terminal() {
			broken = append(broken, fmt.Sprintf("enforcement %d has not ended: %s", run.Enforcement.ID, outcome(run)))
		}
		if run.Enforcement.Status == attune.EnforcementExecuted && run.Execution == nil {
			broken = append(broken, fmt.Sprintf("enforcement %d was executed without an execution", run.Enforcement.ID))
		}
	}
	for sequence := first; sequence < first+int64(len(runs)); sequence++ {
		if !sequences[sequence] {
			broken = append(broken, fmt.Sprintf("sequence %d is missing", sequence))
		}
	}
	return broken
}

// inversions expects runs in grant order.
func inversions(runs []Row) int {
	n, highest := 0, int64(0)
	for _, run := range runs {
		if run.Enforcement.GrantNumber == 0 {
			continue
		}
		if run.Enforcement.Sequence < highest {
			n++
		}
		highest = max(highest, run.Enforcement.Sequence)
	}
	return n
}

// maxActive counts an execution from its request to its end. An end and a request at the same instant are not an overlap:
// a request follows the end that made room for it.
func maxActive(runs []Row) int {
	type change struct {
		at   time.Time
		step int
	}
	var changes []change
	for _, run := range runs {
		if run.Execution == nil {
			continue
		}
		changes = append(changes, change{run.Execution.RequestedAt, 1})
		if run.Execution.FinishedAt != nil {
			changes = append(changes, change{*run.Execution.FinishedAt, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.step, b.step))
	})
	active, most := 0, 0
	for _, c := range changes {
		active += c.step
		most = max(most, active)
	}
	return most
}

// handOver expects runs in grant order. With limit L the k-th grant becomes possible with the (k-L)-th end; it counts if
// its enforcement was waiting by then.
func handOver(limit int, runs []Row) Quantiles {
	var started []Row
	var ends []time.Time
	for _, run := range runs {
		if run.Execution != nil && run.Execution.StartedAt != nil && run.Execution.FinishedAt != nil {
			started = append(started, run)
			ends = append(ends, *run.Execution.FinishedAt)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	var took []time.Duration
	for k := limit; k < len(started) && limit > 0; k++ {
		freed := ends[k-limit]
		if queued := started[k].Enforcement.QueuedAt; queued != nil && queued.Before(freed) {
			took = append(took, started[k].Execution.StartedAt.Sub(freed))
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
