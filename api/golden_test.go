package api_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestProblemsGolden compares the responses with a golden file: programs depend on their form.
func TestProblemsGolden(t *testing.T) {
	t.Parallel()

	cases := []struct {
		name string
		in   request
		arm  func(*bundle)
	}{
		{"malformed", post("/api/v1/events", `{"trigger"`), nil},
		{"unauthorized", request{http.MethodGet, "/api/v1/events", "", []string{"Authorization:"}}, nil},
		{"wrong token", request{http.MethodGet, "/api/v1/events", "", []string{"Authorization: Bearer nope"}}, nil},
		{"wrong signature", delivery("gh", `{}`, "X-Hub-Signature-256: sha256=00"), nil},
		{"forbidden", request{http.MethodPost, "/api/v1/events", `{}`, []string{"Sec-Fetch-Site: cross-site"}}, nil},
		{"not found", get("/api/v1/events/8"), nil},
		{"no route", get("/nothing"), nil},
		{"method not allowed", request{http.MethodPut, "/api/v1/rules/github.deploy", "", nil}, nil},
		{"conflict", post("/api/v1/executions/21/cancel", sam), func(b *bundle) {
			b.executions.cancel = func(attune.ExecutionID, attune.Author) (attune.Execution, error) {
				return attune.Execution{}, attune.Errorf(attune.CodeConflict, "execution 21 has ended: succeeded")
			}
		}},
		{"too large", post("/api/v1/events", strings.Repeat(" ", 600<<10)), nil},
		{"unsupported media type", request{http.MethodPost, "/api/v1/events", "x", []string{"Content-Type: text/plain"}}, nil},
		{"invalid", get("/api/v1/events?limit=0&source=email&colour=red&size=9"), nil},
		{"invalid, several", get("/api/v1/enforcements?limit=0&event=0&status=x&reason=y"), nil},
		{"exhausted", get("/api/v1/events/8"), func(b *bundle) {
			b.events.get = func(attune.EventID) (attune.Event, error) {
				return attune.Event{}, attune.Errorf(attune.CodeExhausted, "the quota of the hour is used up")
			}
		}},
		{"internal", get("/api/v1/events/8"), func(b *bundle) {
			b.events.get = func(attune.EventID) (attune.Event, error) { return attune.Event{}, errSecretCause }
		}},
		{"unavailable", get("/api/v1/events/8"), func(b *bundle) {
			b.events.get = func(attune.EventID) (attune.Event, error) {
				return attune.Event{}, fmt.Errorf("read event: %w", errDown)
			}
		}},
	}
	var got bytes.Buffer
	for _, tc := range cases {
		b := setup(t)
		if tc.arm != nil {
			tc.arm(b)
		}
		recorder := b.do(t, tc.in)
		fmt.Fprintf(&got, "== %s\n%d %s\n", tc.name, recorder.Code, recorder.Header().Get("Content-Type"))
		for _, name := range []string{"Allow", "Retry-After", "WWW-Authenticate"} {
			if value := recorder.Header().Get(name); value != "" {
				fmt.Fprintf(&got, "%s: %s\n", name, value)
			}
		}
		got.Write(recorder.Body.Bytes())
		require.NotContains(t, recorder.Body.String(), "hunter2")
	}
	path := filepath.Join("testdata", "problems.golden")
	if *update {
		require.NoError(t, os.WriteFile(path, got.Bytes(), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), got.String()), "run go test ./api -update if this is meant")
}
