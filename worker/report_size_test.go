package worker

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestReport_Largest signs the reports of the outputs that JSON makes largest: a report above the bound would be lost.
func TestReport_Largest(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	output := func(text string) *capture {
		c := newCapture(MaxOutputLimit)
		_, err := c.Write([]byte(text))
		require.NoError(t, err)
		return c
	}
	full := func(unit string) string { return strings.Repeat(unit, MaxOutputLimit/len(unit)) }
	for name, stdout := range map[string]string{
		"a result of characters that JSON escapes for HTML": `"` + strings.Repeat("<", MaxOutputLimit-2) + `"`,
		"a result of quotation marks":                       "[" + strings.Repeat(`"",`, (MaxOutputLimit-4)/3) + `""]`,
		"control characters":                                full("\x01"),
		"zero bytes":                                        full("\x00"),
		"bytes that are no UTF-8":                           full("\xff"),
		"line separators":                                   full("\u2028"),
	} {
		t.Run(name+" fit into a message", func(t *testing.T) {
			t.Parallel()
			out := output(stdout)
			o := outcome{
				status: attune.ExecutionFailed, reason: attune.ReasonExitCode, message: strings.Repeat("<", 4096), exitCode: new(255),
				result: resultOf(out), stdout: out.text(), stderr: output(full("\x01")).text(), truncated: true,
			}
			require.Equal(t, strings.HasPrefix(name, "a result"), o.result != nil)
			id := attune.AttemptID{Installation: "00000000-0000-0000-0000-000000000000", Execution: 1 << 60, Attempt: 1 << 60}
			report := o.completed(id, strings.Repeat("<", attune.MaxWorkerName), time.Now(), time.Now())
			report.Pool = attune.DefaultPool
			signed, err := attune.Sign(key, report)
			require.NoError(t, err)
			body, err := json.Marshal(signed)
			require.NoError(t, err)
			require.Less(t, len(body), 14<<20, "what the constant promises")
			require.Less(t, len(body), attune.MaxReportBody)
			require.Greater(t, len(body), 5*MaxOutputLimit, "the outputs are large")
		})
	}
}
