package postgres_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/postgres"
)

func pause() auth.AuditEntry {
	return auth.AuditEntry{
		Principal: &root, Role: auth.RoleAdmin, Token: "abcdefgh", Action: "queue.pause", Subject: "demo.deploy",
		OnBehalfOf: "ada", Note: "maintenance", RequestID: "r-1", Remote: "192.0.2.1",
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()

	list := func(t *testing.T, b *bundle, filter auth.AuditFilter, page attune.Page) []auth.AuditEntry {
		t.Helper()
		entries, err := postgres.NewAudit(b.db).List(t.Context(), filter, page)
		require.NoError(t, err)
		return entries
	}

	t.Run("an entry has no status until its outcome, which does not change", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		audit := postgres.NewAudit(b.db)
		id, err := audit.Add(t.Context(), pause())
		require.NoError(t, err)
		want := pause()
		want.ID = id
		entries := list(t, b, auth.AuditFilter{}, attune.Page{})
		require.Empty(t, cmp.Diff([]auth.AuditEntry{want}, entries, cmpopts.IgnoreFields(auth.AuditEntry{}, "At")))
		require.WithinDuration(t, time.Now(), entries[0].At, time.Minute)

		require.NoError(t, audit.Finish(t.Context(), id, http.StatusOK))
		require.NoError(t, audit.Finish(t.Context(), id, http.StatusConflict))
		require.Equal(t, http.StatusOK, list(t, b, auth.AuditFilter{}, attune.Page{})[0].Status)
	})

	t.Run("an entry that was perhaps added is added once, and its first status stays", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		audit := postgres.NewAudit(b.db)
		id, err := audit.Add(t.Context(), pause())
		require.NoError(t, err)
		again := pause()
		again.ID, again.Status = id, http.StatusServiceUnavailable
		for range 2 {
			second, err := audit.Add(t.Context(), again)
			require.NoError(t, err)
			require.Equal(t, id, second)
			again.Status = http.StatusConflict
		}
		entries := list(t, b, auth.AuditFilter{}, attune.Page{})
		require.Len(t, entries, 1)
		require.Equal(t, http.StatusServiceUnavailable, entries[0].Status)

		missing := pause()
		missing.ID, missing.Status = id+1, http.StatusServiceUnavailable
		_, err = audit.Add(t.Context(), missing)
		require.NoError(t, err, "an entry that was not added is added with its number")
		require.Len(t, list(t, b, auth.AuditFilter{}, attune.Page{}), 2)
	})

	t.Run("an entry that does not arrive has no number, or one that can be added again", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		id, err := postgres.NewAudit(b.db).Add(ctx, pause())
		require.Error(t, err)
		require.Zero(t, id)
		numbered := pause()
		numbered.ID = 7
		id, err = postgres.NewAudit(b.db).Add(ctx, numbered)
		require.Error(t, err)
		require.Equal(t, auth.AuditID(7), id)
	})

	t.Run("a stranger's request has no principal", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := postgres.NewAudit(b.db).Add(t.Context(), auth.AuditEntry{
			Action: "queue.pause", Subject: "\x00\xff" + strings.Repeat("x", 1000), Remote: strings.Repeat("r", 1000), Status: 401, Omitted: 7,
		})
		require.NoError(t, err)
		entry := list(t, b, auth.AuditFilter{}, attune.Page{})[0]
		require.Nil(t, entry.Principal)
		require.Equal(t, 401, entry.Status)
		require.Equal(t, 7, entry.Omitted)
		require.LessOrEqual(t, len(entry.Remote), auth.MaxAuditRemote)
		require.True(t, strings.HasPrefix(entry.Subject, "\uFFFD") && strings.Contains(entry.Subject, "xxx"), entry.Subject)
		require.Less(t, len(entry.Subject), auth.MaxAuditSubject+10)
	})

	t.Run("lists are pages, newest first, and can be filtered", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		audit := postgres.NewAudit(b.db)
		for _, change := range []func(*auth.AuditEntry){
			func(*auth.AuditEntry) {}, func(e *auth.AuditEntry) { e.Action = "queue.resume" },
			func(e *auth.AuditEntry) { e.Subject = "demo.notify" }, func(e *auth.AuditEntry) { e.Principal = &ada.Principal },
		} {
			entry := pause()
			change(&entry)
			_, err := audit.Add(t.Context(), entry)
			require.NoError(t, err)
		}
		ids := func(filter auth.AuditFilter, page attune.Page) (ids []auth.AuditID) {
			for _, entry := range list(t, b, filter, page) {
				ids = append(ids, entry.ID)
			}
			return ids
		}
		require.Equal(t, []auth.AuditID{4, 3, 2, 1}, ids(auth.AuditFilter{}, attune.Page{}))
		require.Equal(t, []auth.AuditID{2, 1}, ids(auth.AuditFilter{}, attune.Page{Before: 3}))
		require.Equal(t, []auth.AuditID{4}, ids(auth.AuditFilter{}, attune.Page{Limit: 1}))
		require.Equal(t, []auth.AuditID{3, 2, 1}, ids(auth.AuditFilter{Principal: "root"}, attune.Page{}))
		require.Equal(t, []auth.AuditID{2}, ids(auth.AuditFilter{Action: "queue.resume"}, attune.Page{}))
		require.Equal(t, []auth.AuditID{3}, ids(auth.AuditFilter{Principal: "root", Action: "queue.pause", Subject: "demo.notify"}, attune.Page{}))
		require.Empty(t, ids(auth.AuditFilter{Principal: "unknown"}, attune.Page{}))
	})
}
