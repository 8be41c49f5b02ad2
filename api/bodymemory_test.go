package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// TestBodyMemory_Received gives a server room for 64 KiB of bodies. Callers that send a part of a body and then nothing cannot keep it
// from others: the oldest of them are given up.
func TestBodyMemory_Received(t *testing.T) {
	t.Parallel()
	const room = 64 << 10
	s := &Server{config: Config{BodyTimeout: time.Hour}, bodyMemory: newBodyMemory(room, room)}
	var partial atomic.Int64 // requests whose body did not arrive
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claim, data, err := s.receive(w, r, maxBodyBytes)
		if err != nil {
			partial.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer claim.release()
		_, _ = w.Write(data)
	}))
	t.Cleanup(server.Close)

	const slow = 40 // each sends 8 KiB, for which 16 KiB are reserved
	for range slow {
		body, end := io.Pipe()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
		require.NoError(t, err)
		go func() {
			response, err := http.DefaultClient.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
		}()
		go func() { _, _ = io.WriteString(end, strings.Repeat("x", 8<<10)) }() // and no more
		t.Cleanup(func() { _ = end.CloseWithError(io.ErrUnexpectedEOF) })
	}
	require.Eventually(t, func() bool { return partial.Load() >= slow-room/(8<<10) }, time.Minute, time.Millisecond)

	honest := strings.Repeat("y", 16<<10)
	var callers errgroup.Group
	for range 20 {
		callers.Go(func() error {
			request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL, strings.NewReader(honest))
			if err != nil {
				return err
			}
			for { // a body that waits for room can be given up for another: its caller sends it again
				response, err := http.DefaultClient.Do(request.Clone(context.Background()))
				if err != nil {
					return err
				}
				data, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode == http.StatusOK && string(data) != honest {
					return io.ErrUnexpectedEOF
				}
				if response.StatusCode == http.StatusOK {
					return nil
				}
				request.Body = io.NopCloser(strings.NewReader(honest))
			}
		})
	}
	require.NoError(t, callers.Wait())
}

func TestBodyMemory_Release(t *testing.T) {
	t.Parallel()
	b := newBodyMemory(10, 10)
	ctx, cancel := context.WithCancel(t.Context())
	one := b.begin(ctx, httptest.NewRecorder())
	require.NoError(t, one.reserve(10))
	require.False(t, one.arrived())
	require.NoError(t, one.awaitDecoding(ctx, 10))
	cancel()
	other := b.begin(ctx, httptest.NewRecorder())
	require.Error(t, other.reserve(1), "there is no room, and the request has ended")
	require.Error(t, other.awaitDecoding(ctx, 1))
	other.release()
	one.release()
	one.release() // twice changes nothing
	require.True(t, b.received.TryAcquire(10))
	require.True(t, b.decoded.TryAcquire(10))
	require.Zero(t, b.arriving.Len())
}

// Bodies that all wait for room do not wait for each other: the oldest are given up, and the others get their room.
func TestBodyMemory_AllWait(t *testing.T) {
	t.Parallel()
	const callers = 50
	b := newBodyMemory(callers, 1)
	all := make([]*bodyClaim, callers)
	for i := range all {
		all[i] = b.begin(t.Context(), httptest.NewRecorder())
		require.NoError(t, all[i].reserve(1))
	}
	var waiting errgroup.Group
	var served, refused atomic.Int64
	for _, one := range all {
		waiting.Go(func() error {
			defer one.release()
			if one.reserve(1) != nil {
				refused.Add(1)
				return nil
			}
			served.Add(1)
			return nil
		})
	}
	require.NoError(t, waiting.Wait())
	require.Positive(t, refused.Load())
	require.EqualValues(t, callers, served.Load()+refused.Load())
	require.True(t, b.received.TryAcquire(callers), "all room is free again")
}
