package workflows

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestChanger(t *testing.T) {
	t.Parallel()
	request := func(i int) attune.ChangeRequest { return attune.ChangeRequest{ID: fmt.Sprint(i)} }

	t.Run("requests that arrive during an update share the next one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var batches [][]attune.ChangeRequest
			proceed := make(chan struct{})
			c := newChanger(func(_ context.Context, _ attune.QueueKey, requests []attune.ChangeRequest) (ChangesResult, error) {
				batches = append(batches, requests)
				<-proceed
				return ChangesResult{Failures: make([]ChangeFailure, len(requests))}, nil
			})
			var callers sync.WaitGroup
			ask := func(i int) {
				callers.Go(func() {
					_, err := c.submit(t.Context(), "a", request(i))
					require.NoError(t, err)
				})
				synctest.Wait()
			}
			for i := range 2*maxChanges + 2 {
				ask(i)
			}
			close(proceed)
			callers.Wait()
			require.Len(t, batches, 4)
			require.Len(t, batches[0], 1)
			require.Len(t, batches[1], maxChanges)
			require.Len(t, batches[2], maxChanges)
			require.Len(t, batches[3], 1)
			synctest.Wait()
			require.Empty(t, c.queued, "no sender is left")
		})
	})

	t.Run("each caller gets the answer to its own request", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			proceed := make(chan struct{})
			c := newChanger(func(_ context.Context, _ attune.QueueKey, requests []attune.ChangeRequest) (ChangesResult, error) {
				<-proceed
				result := ChangesResult{Failures: make([]ChangeFailure, len(requests))}
				for i, r := range requests {
					if r.ID == "2" {
						result.Failures[i] = ChangeFailure{Code: attune.CodeConflict, Message: "refused"}
					}
				}
				return result, nil
			})
			errs := make([]error, 5)
			var callers sync.WaitGroup
			for i := range errs {
				callers.Go(func() { _, errs[i] = c.submit(t.Context(), "a", request(i)) })
			}
			synctest.Wait()
			close(proceed)
			callers.Wait()
			for i, err := range errs {
				require.Equal(t, i == 2, attune.CodeOf(err) == attune.CodeConflict, "%d: %v", i, err)
			}
		})
	})

	t.Run("a batch is sent again with the same requests until the queue decides", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			c := newChanger(func(_ context.Context, _ attune.QueueKey, requests []attune.ChangeRequest) (ChangesResult, error) {
				require.Equal(t, []attune.ChangeRequest{request(7)}, requests)
				switch tries++; tries {
				case 1:
					return ChangesResult{}, attune.Errorf(attune.CodeUnavailable, "the queue continues as new")
				case 2:
					return ChangesResult{Failures: []ChangeFailure{{Code: attune.CodeUnavailable}}}, nil
				default:
					return ChangesResult{Status: attune.QueueStatus{Limit: 3}, Failures: make([]ChangeFailure, 1)}, nil
				}
			})
			status, err := c.submit(t.Context(), "a", request(7))
			require.NoError(t, err)
			require.Equal(t, 3, status.Limit)
			require.Equal(t, 3, tries)
		})
	})

	t.Run("a batch that stays unavailable fails at last", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c := newChanger(func(context.Context, attune.QueueKey, []attune.ChangeRequest) (ChangesResult, error) {
				return ChangesResult{}, attune.Errorf(attune.CodeUnavailable, "nothing answers")
			})
			_, err := c.submit(t.Context(), "a", request(1))
			require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		})
	})

	t.Run("a caller that leaves does not stop its change", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			proceed, made := make(chan struct{}), false
			c := newChanger(func(ctx context.Context, _ attune.QueueKey, requests []attune.ChangeRequest) (ChangesResult, error) {
				<-proceed
				made = ctx.Err() == nil
				return ChangesResult{Failures: make([]ChangeFailure, len(requests))}, nil
			})
			ctx, leave := context.WithCancel(t.Context())
			answered := make(chan error, 1)
			go func() {
				_, err := c.submit(ctx, "a", request(1))
				answered <- err
			}()
			synctest.Wait()
			leave()
			require.ErrorContains(t, <-answered, "the change can still be made later")
			close(proceed)
			synctest.Wait()
			require.True(t, made)
		})
	})
}
