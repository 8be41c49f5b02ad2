package api_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/doctor"
)

type fakeDoctor struct{ findings []doctor.Finding }

func (f *fakeDoctor) Examine(context.Context) doctor.Diagnosis {
	return doctor.Diagnose(noon, "1.2.3", append([]doctor.Finding{}, f.findings...))
}

// fakeMetrics records every count.
type fakeMetrics struct {
	mu     sync.Mutex
	counts map[string]int
}

func (f *fakeMetrics) count(key string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	f.counts[key] += n
}

func (f *fakeMetrics) of(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[key]
}

func (f *fakeMetrics) EventRecorded(_ context.Context, source attune.Source) {
	f.count("event "+string(source), 1)
}

func (f *fakeMetrics) EnforcementReached(_ context.Context, n int, status attune.EnforcementStatus, reason attune.Reason) {
	f.count(strings.TrimSpace("enforcement "+string(status)+" "+string(reason)), n)
}

func (f *fakeMetrics) RequestServed(_ context.Context, method, route string, status int, _ time.Duration) {
	f.count(method+" "+route+" "+http.StatusText(status), 1)
}

func (f *fakeMetrics) RateLimited(_ context.Context, limit string) { f.count("limited "+limit, 1) }

// lockedBuffer collects log lines from several goroutines.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *lockedBuffer) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(data)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}
