package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// growing are expressions whose results can be far larger than what they are given: each function of the language that makes a text
// or a list, alone, on its own result, and in a loop over the payload. The payload has the texts a and b and the list l.
// Package rules has a test of its own with every function there is.
func growing() []string {
	return []string{
		`payload.a.replace("x", payload.a)`, `payload.a.replace("x", payload.a).replace("x", payload.a)`, `payload.a.replace("", payload.b)`,
		`[payload.a, payload.a, payload.a].join(payload.a)`, `payload.l.map(x, payload.a).join(payload.a)`, `payload.l.map(x, string(x)).join(payload.b)`,
		`"%s%s%s".format([payload.a, payload.a, payload.a])`, `payload.a.format(payload.l)`, `"%s".format([payload.l])`, `payload.l.map(x, "%.100f".format([1e300]))`,
		`"%X".format([payload.a])`, `payload.a.split("")`, `payload.l.map(x, payload.a.split(""))`, `payload.a.split(payload.b)`,
		`payload.a + payload.a + payload.a + payload.a`, `payload.l.map(x, payload.a + string(x))`,
		`cel.bind(a, payload.a + payload.a, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, d + d))))`,
		`cel.bind(a, payload.l + payload.l, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, d + d))))`,
		`strings.quote(strings.quote(strings.quote(payload.a)))`, `payload.l.map(x, strings.quote(payload.a))`,
		`base64.encode(bytes(base64.encode(bytes(payload.a))))`, `payload.l.map(x, base64.encode(bytes(payload.a)))`, `payload.l.map(x, bytes(payload.a))`,
		`payload.l.map(x, string(bytes(payload.a)))`, `payload.l.map(x, payload.a.upperAscii())`, `payload.l.map(x, payload.a.lowerAscii())`,
		`payload.l.map(x, payload.a.substring(1))`, `payload.l.map(x, (payload.a + " ").trim())`, `payload.a.reverse().reverse()`,
		`regex.replace(payload.a, "", payload.b)`, `regex.replace(payload.a, "(.*)", "\\1\\1\\1\\1")`, `regex.replace(payload.a, "x", payload.a)`,
		`regex.extractAll(payload.a, "")`, `regex.extractAll(payload.a, "x")`, `payload.l.map(x, regex.extract(payload.a, ".*"))`,
		`payload.a.matches(payload.b)`, `payload.l.all(x, payload.a.matches("(x*)*y"))`,
		`lists.range(9223372036854775807)`, `payload.l.map(x, lists.range(1000))`, `payload.l.map(x, payload.l.map(y, payload.l))`,
		`cel.bind(a, [1, 1], cel.bind(b, [a, a], cel.bind(c, [b, b], cel.bind(d, [c, c], [d, d])))).flatten(9)`, `payload.l.map(x, [x, x]).flatten()`,
		`payload.l.map(x, payload.l.reverse())`, `payload.l.map(x, payload.l.sort())`, `payload.l.map(x, payload.l.distinct())`,
		`payload.l.sortBy(x, payload.a)`, `payload.l.map(x, (payload.l + [1]).slice(0, 1))`,
		`payload.l.map(x, payload.l.map(y, optional.of(y)).unwrapOpt())`, `payload.l.map(x, [payload, payload, payload])`, `payload.l.map(x, {"k": event})`,
	}
}

// largest are payloads at the size limit. The first asks for most.
func largest() []string {
	text := strings.Repeat("x", attune.MaxPayloadBytes/2-100)
	list := func(item string, bytes int) string { return strings.Repeat(item+",", bytes/(len(item)+1)-1) + item }
	return []string{
		`{"a":"` + text + `","b":"x","l":[` + list("0", attune.MaxPayloadBytes/2-100) + `]}`,
		`{"a":"` + text + text + `","b":"x","l":[]}`,
		`{"a":"` + text + `","b":"` + text + `","l":["x"]}`,
		`{"a":"x","b":"y","l":[` + list("0", attune.MaxPayloadBytes-200) + `]}`,
		`{"a":",","b":"word","l":[` + list(`"a word of text"`, attune.MaxPayloadBytes-200) + `]}`,
		`{"a":"k","b":"v","l":[` + list(`{"k":["v"]}`, attune.MaxPayloadBytes-200) + `]}`,
		`{"a":"` + strings.Repeat(`\u0007`, attune.MaxPayloadBytes/6-100) + `","b":"\u0007","l":[1]}`,
		`{"a":"` + strings.Repeat("%s", attune.MaxPayloadBytes/4-100) + `","b":"(x*)*","l":[` + list("1", attune.MaxPayloadBytes/2-100) + `]}`,
	}
}

// mostResident bounds the memory of the API process, in bytes. An evaluation may make 128 MiB, and several are under way.
const mostResident = 1 << 30

// TestExpressions_AtTheSizeLimit sends events at the size limit to rules that ask for much more, four at a time. Every event
// is accepted within the time of one request, the outcome of its rule is recorded, and the process lives on in bounded memory.
//
// Short: one payload. Long: eight.
func TestExpressions_AtTheSizeLimit(t *testing.T) {
	t.Parallel()
	pack := map[string]string{"actions/step.yaml": stepAction(1)}
	for i, expression := range growing() {
		pack[fmt.Sprintf("triggers/t%d.yaml", i)] = "description: asks for much\n"
		pack[fmt.Sprintf("rules/r%d.yaml", i)] = fmt.Sprintf(
			"description: asks for much\ntrigger: e2e.t%d\naction: e2e.step\nparameters:\n  v: '{{ %s }}'\n", i, strings.ReplaceAll(expression, "'", "''"))
	}
	c := newCluster(t, pack)
	p := c.start("--roles=api,orchestrator,bridge")
	c.control("e2e.step", "pause") // what fits is not run
	payloads := largest()[:size(1, len(largest()))]

	events := make(chan [2]int)
	var working sync.WaitGroup
	for range 4 {
		working.Go(func() {
			for event := range events {
				c.sendLargest(event[0], payloads[event[1]])
			}
		})
	}
	for i := range growing() {
		for n := range payloads {
			events <- [2]int{i, n}
		}
	}
	close(events)
	working.Wait()

	require.False(t, t.Failed())
	outcomes, rejected := c.recordedOutcomes()
	require.Greater(t, rejected, len(growing())/2, "most ask for too much")
	for i, expression := range growing() {
		require.Len(t, outcomes[attune.Ref(fmt.Sprintf("e2e.r%d", i))], len(payloads), expression)
	}
	status, answer := c.http(http.MethodGet, "/readyz", nil, "")
	require.Equal(t, http.StatusOK, status, "the process lives: %s\n%s", answer, p.Output())
	peak := requireResident(t, p.PID())
	measured(t, "%d events of up to %d bytes for %d expressions, each with its outcome, %d rejected; at most %d MiB resident",
		len(growing())*len(payloads), attune.MaxPayloadBytes, len(growing()), rejected, peak>>20)
}

// sendLargest sends one event for a rule. Nothing but 202 will do.
func (c *cluster) sendLargest(rule int, payload string) {
	c.t.Helper()
	status, answer := c.api(http.MethodPost, "events", fmt.Sprintf(`{"trigger":"e2e.t%d","payload":%s}`, rule, payload))
	if status != http.StatusAccepted {
		c.t.Errorf("%s with %s: %d %s", growing()[rule], attune.Shorten(payload, 100), status, attune.Shorten(answer, 300))
	}
}

// recordedOutcomes are the enforcements of each rule. One that was rejected says which bound was reached or what was wrong.
func (c *cluster) recordedOutcomes() (outcomes map[attune.Ref][]attune.Enforcement, rejected int) {
	c.t.Helper()
	outcomes = map[attune.Ref][]attune.Enforcement{}
	for _, row := range c.rows("e2e.step") {
		e := row.Enforcement
		outcomes[e.Rule] = append(outcomes[e.Rule], e)
		if e.Status != attune.EnforcementRejected {
			continue
		}
		rejected++
		require.Equal(c.t, attune.ReasonParametersInvalid, e.Reason)
		require.NotEmpty(c.t, e.Detail)
		require.NotContains(c.t, e.Detail, "internal error")
	}
	return outcomes, rejected
}

// requireResident requires that the memory of a process has never been out of bounds, and returns its peak in bytes; 0 where the
// system does not say.
func requireResident(t *testing.T, pid int) (peak int64) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), "VmHWM:")
	require.True(t, found, "%s", status)
	peak, err = strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(t, err)
	require.Less(t, peak<<10, int64(mostResident))
	return peak << 10
}
