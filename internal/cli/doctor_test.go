package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/internal/cli"
)

// attuneDoctor runs `attune doctor` against an API that responds with status and body.
func attuneDoctor(t *testing.T, status int, body any, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/doctor" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(apiToken+"\n"), 0o600))
	var out, errs bytes.Buffer
	code = cli.Main(append([]string{"doctor", "--url", server.URL, "--api-token-file", file}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func diagnosis(findings ...doctor.Finding) doctor.Diagnosis {
	return doctor.Diagnose(time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC), "1.2.3", findings)
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	well := doctor.Finding{Check: "outbox", Severity: doctor.OK, What: "The outbox is relayed."}
	paused := doctor.Finding{Check: "control", Severity: doctor.Note, Where: "queue a.b", What: "It is paused.", Do: "Resume it."}
	idle := doctor.Finding{Check: "broker queues", Severity: doctor.Warning, What: "No worker.", Do: "Start one."}
	leaked := doctor.Finding{Check: "leaked slots", Severity: doctor.Problem, Where: "queue a.b", What: "It leaks.", Do: "Free it."}

	t.Run("notes and warnings are no problem", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := attuneDoctor(t, http.StatusOK, diagnosis(well, paused, idle))
		require.Zero(t, code, "notes and warnings are no problems: %s", stderr)
		require.Empty(t, stderr)
		require.Equal(t, `WARNING  broker queues
         No worker.
         → Start one.
NOTE     control: queue a.b
         It is paused.
         → Resume it.
OK       outbox
         The outbox is relayed.

0 problems, 1 warning, 1 note, 1 ok
`, stdout)
	})

	t.Run("a problem is a failure", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := attuneDoctor(t, http.StatusOK, diagnosis(well, leaked))
		require.Equal(t, 1, code)
		require.Contains(t, stdout, "PROBLEM  leaked slots: queue a.b\n         It leaks.\n         → Free it.\n")
		require.Equal(t, "attune: 1 problem\n", stderr)
	})

	t.Run("the diagnosis is written as JSON", func(t *testing.T) {
		t.Parallel()
		code, stdout, _ := attuneDoctor(t, http.StatusOK, diagnosis(well, leaked), "--output", "json")
		require.Equal(t, 1, code)
		var got doctor.Diagnosis
		require.NoError(t, json.Unmarshal([]byte(stdout), &got))
		require.Equal(t, diagnosis(well, leaked), got)
	})

	t.Run("the API refuses the request", func(t *testing.T) {
		t.Parallel()
		problem := map[string]any{"title": "Unauthorized", "status": 401, "code": "unauthorized", "detail": "the API token is wrong"}
		code, stdout, _ := attuneDoctor(t, http.StatusUnauthorized, problem, "-o", "json")
		require.Equal(t, 1, code)
		var got doctor.Diagnosis
		require.NoError(t, json.Unmarshal([]byte(stdout), &got), "a program can read this too")
		require.Equal(t, doctor.Problem, got.Verdict)
		require.Contains(t, got.Findings[0].What, "the API token is wrong")
		require.Contains(t, got.Findings[0].Do, "ATTUNE_API_TOKEN")
	})

	t.Run("the API is away", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := attuneDoctor(t, http.StatusOK, nil, "--url", "http://127.0.0.1:1")
		require.Equal(t, 1, code)
		require.Contains(t, stdout, "PROBLEM  api\n")
		require.Contains(t, stdout, "Start attune with the role api")
		require.Equal(t, "attune: 1 problem\n", stderr)
	})

	t.Run("wrong usage has exit code 2", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{"--output", "yaml"}, {"queue"}, {"--url", "nonsense"}, {"--colour"}} {
			code, _, _ := attuneDoctor(t, http.StatusOK, diagnosis(), args...)
			require.Equal(t, 2, code, args)
		}
	})
}
