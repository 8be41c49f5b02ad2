package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/doctor"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.doctor.findings = []doctor.Finding{
		{Check: "outbox", Severity: doctor.OK, What: "The outbox is relayed."},
		{Check: "leaked slots", Severity: doctor.Problem, Where: "queue a.b", What: "It leaks.", Do: "Free it."},
	}
	recorder := b.do(t, get("/api/v1/doctor"))
	require.Equal(t, http.StatusOK, recorder.Code, "a diagnosis with problems is a success")
	requireJSON(t, `{
		"at": "2030-01-02T12:00:00Z", "version": "1.2.3", "verdict": "problem", "findings": [
			{"check": "leaked slots", "severity": "problem", "where": "queue a.b", "what": "It leaks.", "do": "Free it."},
			{"check": "outbox", "severity": "ok", "what": "The outbox is relayed."}
		]
	}`, recorder)
}
