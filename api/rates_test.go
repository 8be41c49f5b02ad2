package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
)

// doFrom sends a request from an address.
func (b *bundle) doFrom(t *testing.T, remote string, in request) *httptest.ResponseRecorder {
	t.Helper()
	r := in.build(t)
	r.RemoteAddr = remote
	recorder := httptest.NewRecorder()
	b.server(t).Handler().ServeHTTP(recorder, r)
	return recorder
}

// requireLimited requires a 429 that says when to try again.
func requireLimited(t *testing.T, recorder *httptest.ResponseRecorder) api.Problem {
	t.Helper()
	problem := requireProblem(t, recorder, http.StatusTooManyRequests, api.CodeRateLimited)
	seconds, err := strconv.Atoi(recorder.Header().Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, seconds)
	require.Contains(t, problem.Detail, "try again in "+strconv.Itoa(seconds)+" s")
	return problem
}

// The rates in these tests are so low that the time that a test takes does not matter: a bucket fills by 1 a second.
const (
	lowRate = 1
	burst   = 2 * lowRate
)

func TestRates_Callers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.CallerRate = lowRate
	viewer := b.as(auth.RoleViewer)
	limited := 0
	for range burst + 20 {
		if recorder := b.do(t, get("/api/v1/events")); recorder.Code != http.StatusOK {
			require.Contains(t, requireLimited(t, recorder).Detail, "admin sends too many requests")
			limited++
		}
	}
	require.Positive(t, limited)
	require.Equal(t, limited, b.metrics.of("limited token"))
	other := request{http.MethodGet, "/api/v1/events", "", []string{viewer}}
	require.Equal(t, http.StatusOK, b.do(t, other).Code, "another caller is not limited")
	require.Equal(t, http.StatusOK, b.do(t, get("/readyz")).Code, "health checks are not limited")
}

func TestRates_Webhooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.WebhookRate = lowRate
	for range burst + 20 {
		forged := delivery("gh", `{}`, "X-Hub-Signature-256: sha256="+hexZeros)
		requireProblem(t, b.do(t, forged), http.StatusUnauthorized, "unauthorized")
	}
	require.Zero(t, b.metrics.of("limited webhook"), "only the holder of the secret can reach the limit")
	accepted, limited := 0, 0
	for range burst + 20 {
		switch recorder := b.do(t, delivery("gh", `{}`)); recorder.Code {
		case http.StatusAccepted:
			accepted++
		default:
			require.Contains(t, requireLimited(t, recorder).Detail, "too many deliveries to trigger")
			limited++
		}
	}
	require.GreaterOrEqual(t, accepted, burst)
	require.Positive(t, limited)
	require.Len(t, b.recorder.events, accepted)
	require.Equal(t, limited, b.metrics.of("limited webhook"))
}

const hexZeros = "0000000000000000000000000000000000000000000000000000000000000000"

func TestRates_Failures(t *testing.T) {
	t.Parallel()
	const attacker, neighbour, elsewhere = "192.0.2.1:1000", "192.0.2.1:2000", "192.0.2.2:1000"
	wrong := request{http.MethodGet, "/api/v1/events", "", []string{"Authorization: Bearer 00000000000000000000000000000000"}}
	exhaust := func(t *testing.T, b *bundle, try request) {
		t.Helper()
		limited := 0
		for range burst + 20 {
			if recorder := b.doFrom(t, attacker, try); recorder.Code == http.StatusTooManyRequests {
				require.Contains(t, requireLimited(t, recorder).Detail, "too many failed authentications from this address")
				limited++
			}
		}
		require.Positive(t, limited)
		require.Equal(t, limited, b.metrics.of("limited failures"))
	}

	t.Run("wrong tokens of an address are refused without a look", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.FailureRate = lowRate
		require.Equal(t, http.StatusOK, b.doFrom(t, neighbour, get("/api/v1/events")).Code)
		exhaust(t, b, wrong)
		require.Equal(t, http.StatusOK, b.doFrom(t, neighbour, get("/api/v1/events")).Code,
			"a token that was accepted before is accepted at the same address")
		require.Equal(t, http.StatusUnauthorized, b.doFrom(t, elsewhere, wrong).Code, "another address has its own limit")
	})

	t.Run("wrong tokens that are sent at the same time are bounded, too", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.FailureRate = lowRate
		const most = 200
		looked, release := make(chan struct{}, most), make(chan struct{})
		b.deps.Callers = callersFunc(func(ctx context.Context, token string) (auth.Caller, error) {
			looked <- struct{}{}
			<-release
			return b.callers.Authenticate(ctx, token)
		})
		server := b.server(t)
		var failures sync.WaitGroup
		codes := make(chan int, most)
		for range most {
			failures.Go(func() {
				r := wrong.build(t)
				r.RemoteAddr = attacker
				recorder := httptest.NewRecorder()
				server.Handler().ServeHTTP(recorder, r)
				codes <- recorder.Code
			})
		}
		for range burst {
			<-looked
		}
		close(release)
		failures.Wait()
		close(codes)
		found := map[int]int{}
		for code := range codes {
			found[code]++
		}
		require.Equal(t, most, found[http.StatusUnauthorized]+found[http.StatusTooManyRequests])
		require.Less(t, found[http.StatusUnauthorized], most/2, "%v", found)
	})

	t.Run("wrong signatures and unknown webhooks count, too", func(t *testing.T) {
		t.Parallel()
		for name, try := range map[string]request{
			"a wrong signature": delivery("gh", `{}`, "X-Hub-Signature-256: sha256="+hexZeros), "an unknown key": delivery("nothing", `{}`),
		} {
			b := setup(t)
			b.config.FailureRate = lowRate
			exhaust(t, b, try)
			require.Equal(t, http.StatusAccepted, b.doFrom(t, elsewhere, delivery("gh", `{}`)).Code, name)
		}
	})

	t.Run("a webhook that was used before is used at the same address", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.FailureRate = lowRate
		require.Equal(t, http.StatusAccepted, b.doFrom(t, neighbour, delivery("gh", `{}`)).Code)
		exhaust(t, b, wrong)
		require.Equal(t, http.StatusAccepted, b.doFrom(t, neighbour, delivery("gh", `{}`)).Code)
		forged := delivery("gh", `{}`, "X-Hub-Signature-256: sha256="+hexZeros)
		requireProblem(t, b.doFrom(t, neighbour, forged), http.StatusUnauthorized, "unauthorized")
	})

	t.Run("wrong signatures for a webhook in use are refused before a look into the database", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.FailureRate = lowRate
		require.Equal(t, http.StatusAccepted, b.doFrom(t, elsewhere, delivery("gh", `{}`)).Code)
		trigger, err := b.triggers.WebhookTrigger(t.Context(), "gh")
		require.NoError(t, err)
		looks := 0
		b.triggers.byKey = func(string) (attune.Trigger, error) {
			looks++
			return trigger, nil
		}
		exhaust(t, b, delivery("gh", `{}`, "X-Hub-Signature-256: sha256="+hexZeros))
		require.LessOrEqual(t, looks, burst+20-b.metrics.of("limited failures")+1)
		require.Equal(t, http.StatusAccepted, b.doFrom(t, elsewhere, delivery("gh", `{}`)).Code, "the sender at its address is not limited")
	})

	t.Run("a request without a token costs nothing and is not counted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.FailureRate = lowRate
		for range burst + 20 {
			none := request{http.MethodGet, "/api/v1/events", "", []string{"Authorization:"}}
			requireProblem(t, b.doFrom(t, attacker, none), http.StatusUnauthorized, "unauthorized")
		}
	})

	t.Run("an IPv6 network is one address", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.FailureRate = lowRate
		limited := 0
		for n := range burst + 20 {
			if b.doFrom(t, "[2001:db8:1:2::"+strconv.Itoa(n)+"]:80", wrong).Code == http.StatusTooManyRequests {
				limited++
			}
		}
		require.Positive(t, limited)
		require.Equal(t, http.StatusUnauthorized, b.doFrom(t, "[2001:db8:1:3::1]:80", wrong).Code)
	})
}

func TestRates_Negative(t *testing.T) {
	t.Parallel()
	_, err := api.New(api.Config{FailureRate: -1}, setup(t).deps)
	require.ErrorContains(t, err, "a limit of the API is negative")
}
