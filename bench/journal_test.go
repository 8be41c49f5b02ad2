package bench_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows/baseline"
)

// journal collects the executions' data from attune's log. The lines about ended processes are always in the log; the
// others only with debug lines.
type journal struct {
	ended *baseline.Count // the number of ended processes

	mu         sync.Mutex // guards the fields below, which the reader of the log writes
	moments    map[attune.ExecutionID]moments
	unexpected []string // lines about executions that did not succeed
}

// moments are times of one execution, by the clock of attune's process; zero without a line in the log.
type moments struct {
	claimSent time.Time // the worker sends the claim
	starts    time.Time // the worker starts the process
	ends      time.Time // the process has ended, and the worker has its output
	consumed  time.Time // the bridge has the report
}

func newJournal() *journal {
	return &journal{ended: baseline.NewCount(), moments: map[attune.ExecutionID]moments{}}
}

// line is one line of the log, with the fields that the journal reads.
type line struct {
	Time       time.Time
	Msg        string
	Execution  attune.ExecutionID
	Executions []attune.ExecutionID
	LeaseFrom  time.Time `json:"lease_from"`
	Took       time.Duration
	Status     attune.ExecutionStatus
}

// read reads a line of the log. It decodes only the three kinds of lines that the journal needs.
func (j *journal) read(text []byte) {
	for _, msg := range []string{"execution ended", "execution starts", "reports consumed"} {
		if bytes.Contains(text, []byte(`"msg":"`+msg+`"`)) {
			var l line
			if err := json.Unmarshal(text, &l); err == nil {
				j.record(l, text)
			}
			return
		}
	}
}

func (j *journal) record(l line, text []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch l.Msg {
	case "execution starts":
		j.change(l.Execution, func(m *moments) { m.claimSent = l.LeaseFrom })
	case "execution ended":
		j.change(l.Execution, func(m *moments) { m.starts, m.ends = l.Time.Add(-l.Took), l.Time })
		if l.Status != attune.ExecutionSucceeded {
			j.unexpected = append(j.unexpected, string(text))
		}
		j.ended.Add(1)
	case "reports consumed":
		for _, id := range l.Executions {
			j.change(id, func(m *moments) { m.consumed = l.Time })
		}
	}
}

func (j *journal) change(id attune.ExecutionID, set func(*moments)) {
	m := j.moments[id]
	set(&m)
	j.moments[id] = m
}

// of returns the moments of an execution.
func (j *journal) of(id attune.ExecutionID) moments {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.moments[id]
}

// failed returns the lines about executions that did not succeed.
func (j *journal) failed() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.unexpected)
}

func TestJournal(t *testing.T) {
	t.Parallel()
	at := func(second int) string { return fmt.Sprintf("2030-01-02T03:04:%02d.5Z", second) }
	moment := func(second int) time.Time { return time.Date(2030, 1, 2, 3, 4, second, 500_000_000, time.UTC) }
	j := newJournal()
	for _, text := range []string{
		`{"time":"` + at(2) + `","level":"DEBUG","msg":"execution starts","worker":"w","execution":7,"attempt":1,"lease_from":"` + at(1) + `"}`,
		`{"time":"` + at(5) + `","level":"INFO","msg":"execution ended","execution":7,"attempt":1,"status":"succeeded","took":2000000000}`,
		`{"time":"` + at(6) + `","level":"DEBUG","msg":"reports consumed","executions":[6,7]}`,
		`{"time":"` + at(7) + `","level":"INFO","msg":"execution ended","execution":8,"attempt":1,"status":"failed","took":1}`,
		`{"time":"` + at(8) + `","level":"INFO","msg":"something else","execution":7}`,
		`not JSON: "msg":"execution ended"`,
	} {
		j.read([]byte(text))
	}
	require.Equal(t, moments{claimSent: moment(1), starts: moment(3), ends: moment(5), consumed: moment(6)}, j.of(7))
	require.Equal(t, moments{consumed: moment(6)}, j.of(6))
	require.EqualValues(t, 2, j.ended.Value())
	require.Len(t, j.failed(), 1)
	require.Contains(t, j.failed()[0], `"execution":8`)
}
