package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

const pausePath = "/api/v1/queues/shop.deploy/pause"

// send serves a request whose context is ctx.
func (b *bundle) send(t *testing.T, ctx context.Context, in request) int { //nolint:revive // t is first everywhere
	t.Helper()
	recorder := httptest.NewRecorder()
	b.server(t).Handler().ServeHTTP(recorder, in.build(t).WithContext(ctx))
	return recorder.Code
}

func TestAudit_CallersThatLeave(t *testing.T) {
	t.Parallel()

	t.Run("a change goes on without its caller, and its status is that of the change", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		ctx, leave := context.WithCancel(t.Context())
		b.control.setMode = func(ctx context.Context) (attune.QueueStatus, error) {
			leave()
			return attune.QueueStatus{}, ctx.Err()
		}
		require.Equal(t, http.StatusOK, b.send(t, ctx, post(pausePath, "")))
		require.Len(t, b.audit.entries, 1)
		require.Equal(t, http.StatusOK, b.audit.entries[0].Status)
	})

	t.Run("a caller that leaves while the entry is written has its entry and its change", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		ctx, leave := context.WithCancel(t.Context())
		b.audit.adding = func() error { leave(); return nil }
		require.Equal(t, http.StatusOK, b.send(t, ctx, post(pausePath, "")))
		require.Len(t, b.audit.entries, 1)
		require.Equal(t, http.StatusOK, b.audit.entries[0].Status)
	})

	t.Run("an entry whose reply is lost is completed, and not added again", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		b.control.mode = func(attune.QueueKey, attune.QueueMode, attune.Author) (attune.QueueStatus, error) {
			t.Error("the change was made")
			return attune.QueueStatus{}, nil
		}
		b.audit.adding = func() error { return context.DeadlineExceeded }
		require.Equal(t, http.StatusServiceUnavailable, b.do(t, post(pausePath, "")).Code)
		require.Len(t, b.audit.entries, 1)
		require.Equal(t, http.StatusServiceUnavailable, b.audit.entries[0].Status)
	})

	t.Run("a change that is cut off leaves its entry without a status", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.RequestTimeout = 20 * time.Millisecond
		b.queueControl()
		b.control.setMode = func(ctx context.Context) (attune.QueueStatus, error) {
			<-ctx.Done()
			return attune.QueueStatus{}, ctx.Err()
		}
		require.Equal(t, http.StatusServiceUnavailable, b.do(t, post(pausePath, "")).Code)
		require.Len(t, b.audit.entries, 1)
		require.Zero(t, b.audit.entries[0].Status)
		require.Contains(t, b.log.String(), "the outcome of a request is not in the audit log")
	})

	t.Run("a change ends with the server, after its grace", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.ShutdownGrace = time.Millisecond
		b.queueControl()
		started, ended := make(chan struct{}), make(chan error, 1)
		b.control.setMode = func(ctx context.Context) (attune.QueueStatus, error) {
			close(started)
			<-ctx.Done()
			ended <- ctx.Err()
			return attune.QueueStatus{}, ctx.Err()
		}
		listener, err := b.server(t).Listen(t.Context())
		require.NoError(t, err)
		serving, stop := context.WithCancel(t.Context())
		server, served := b.server(t), make(chan error, 1)
		go func() { served <- server.Serve(serving, listener) }()
		in := post("http://"+listener.Addr().String()+pausePath, "").build(t)
		in.RequestURI = ""
		go func() {
			if response, err := http.DefaultClient.Do(in); err == nil {
				_ = response.Body.Close()
			}
		}()
		<-started
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Error(t, <-served)
	})
}
