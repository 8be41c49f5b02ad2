package api_test

import (
	"cmp"
	"context"
	"sync"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// fakeAudit keeps the entries of the audit log, and what they were when they were added.
type fakeAudit struct {
	mu      sync.Mutex
	fail    error
	adding  func() error // called once by Add, when the entry is in the log: an error is that of a lost reply
	added   []auth.AuditEntry
	entries []auth.AuditEntry
	filter  auth.AuditFilter
	page    attune.Page
}

func (f *fakeAudit) Add(ctx context.Context, entry auth.AuditEntry) (auth.AuditID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil || ctx.Err() != nil {
		return 0, cmp.Or(f.fail, ctx.Err())
	}
	if id := entry.ID; id != 0 {
		f.entries[id-1].Status = cmp.Or(f.entries[id-1].Status, entry.Status)
		return id, nil
	}
	entry.ID, entry.At = auth.AuditID(len(f.entries)+1), noon
	f.added, f.entries = append(f.added, entry), append(f.entries, entry)
	if adding := f.adding; adding != nil {
		f.adding = nil
		return entry.ID, cmp.Or(adding(), ctx.Err())
	}
	return entry.ID, nil
}

func (f *fakeAudit) Finish(ctx context.Context, id auth.AuditID, status int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.fail != nil {
		return f.fail
	}
	f.entries[id-1].Status = status
	return nil
}

func (f *fakeAudit) List(_ context.Context, filter auth.AuditFilter, page attune.Page) ([]auth.AuditEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter, f.page = filter, page
	return f.entries, nil
}

func (f *fakeAudit) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.entries)
}
