package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// withRules puts the real rule engine behind the API, with one rule for github.push.
func (b *bundle) withRules(t *testing.T, rule attune.Rule, schema string) *bundle {
	t.Helper()
	engine, err := rules.NewEngine()
	require.NoError(t, err)
	b.engine.check = func(trigger attune.Trigger, payload json.RawMessage) error {
		trigger.Schema = json.RawMessage(schema)
		return engine.CheckEvent(trigger, payload)
	}
	b.engine.manual = engine.Manual
	b.engine.decide = func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		rule.ID, rule.Ref = candidates[0].Rule.ID, candidates[0].Rule.Ref
		candidates[0].Rule = rule
		return engine.Decide(t.Context(), event, candidates)
	}
	return b
}

// An event whose rules need too much memory or time is recorded with a rejected enforcement.
func TestPostEventThatAsksForTooMuch(t *testing.T) {
	t.Parallel()

	text := `{"p": "` + strings.Repeat("x", attune.MaxPayloadBytes-20) + `"}`
	numbers := `{"p": [` + strings.TrimSuffix(strings.Repeat("0,", attune.MaxPayloadBytes/2-20), ",") + `]}`
	cases := []struct {
		name, payload string
		rule          attune.Rule
		reason        attune.Reason
	}{
		{"a replacement asks for too much", text, attune.Rule{Parameters: json.RawMessage(`{"a": "{{ payload.p.replace('x', payload.p) }}"}`)},
			attune.ReasonParametersInvalid},
		{"a sum of texts asks for too much", text, attune.Rule{Parameters: json.RawMessage(`{"a": "{{ payload.p + payload.p + payload.p + payload.p }}"}`)},
			attune.ReasonParametersInvalid},
		{"criteria ask for too much", text, attune.Rule{Criteria: `payload.p.replace("x", payload.p).size() > 0`}, attune.ReasonCriteriaFailed},
		{"nested loops ask for too much", numbers, attune.Rule{Criteria: `payload.p.all(x, payload.p.all(y, payload.p.all(z, x + y + z == 0)))`},
			attune.ReasonCriteriaFailed},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t).withRules(t, tc.rule, "")
			recorder := b.do(t, post("/api/v1/events", `{"trigger": "github.push", "payload": `+tc.payload+`}`))
			require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
			require.Contains(t, recorder.Body.String(), `"status":"rejected","reason":"`+string(tc.reason)+`"`)
			require.Equal(t, http.StatusOK, b.do(t, get("/livez")).Code)
		})
	}
}

func TestPostEventWithSchemaThatBranches(t *testing.T) {
	t.Parallel()

	const schema = `{"$defs": {"n": {"properties": {"x": {"allOf": [{"$ref": "#/$defs/n"}, {"$ref": "#/$defs/n"}]}}}}, "$ref": "#/$defs/n"}`
	payload := strings.Repeat(`{"x":`, 80) + `1` + strings.Repeat(`}`, 80)
	b := setup(t).withRules(t, attune.Rule{}, schema)
	problem := requireProblem(t, b.do(t, post("/api/v1/events", `{"trigger": "github.push", "payload": `+payload+`}`)), 422, "invalid")
	require.Contains(t, problem.Detail, "the check against the schema takes more than 1000000 steps")
	require.Empty(t, b.recorder.events)
}

// Every request with a number that attune cannot store is refused with the number and its location.
func TestNumbersOutOfRange(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("1", 400_000)
	for _, number := range []string{"1e400", "-1e400", "1e99999999999999999999", long, "-" + long + ".5"} {
		t.Run(attune.Shorten(number, 20), func(t *testing.T) {
			t.Parallel()
			b := setup(t).withRules(t, attune.Rule{}, "")
			object := `{"a": [{"id": ` + number + `}]}`
			for _, in := range []request{
				post("/api/v1/events", `{"trigger": "github.push", "payload": `+object+`}`),
				post("/api/v1/actions/shop.deploy/run", `{"parameters": `+object+`}`),
				delivery("gh", object),
			} {
				recorder := b.do(t, in)
				problem := requireProblem(t, recorder, 422, "invalid")
				require.Contains(t, problem.Detail, "/a/0/id: number "+number[:2], in.path)
				require.Contains(t, problem.Detail, "is out of range", in.path)
				require.Less(t, recorder.Body.Len(), 1000, in.path)
			}
			require.Empty(t, b.recorder.events)
		})
	}
}

// Messages about a body name the member and the expected JSON kind, and no Go type.
func TestBodyMembersOfTheWrongKind(t *testing.T) {
	t.Parallel()

	cases := []struct{ path, body, detail string }{
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": 1e3}`, "body.limit: expected integer"},
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": 1.5}`, "body.limit: expected integer"},
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": 5.0}`, "body.limit: expected integer"},
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": 1e400}`, "body.limit: expected integer"},
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": ` + strings.Repeat("9", 400_000) + `}`, "body.limit: expected integer"},
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": 99999999999999999999}`, "body.limit: expected number <= 5000"},
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": "5"}`, "body.limit: expected integer"},
		{"/api/v1/queues/shop.deploy/limit", `{"on_behalf_of": "sam", "limit": 5, "until": "soon"}`, "body.until: expected string to be RFC 3339"},
		{"/api/v1/events", `{"trigger": 5, "payload": {}}`, "body.trigger: expected string"},
		{"/api/v1/events", `{"trigger": 1e400, "payload": {}}`, "body.trigger: expected string"},
	}
	for _, tc := range cases {
		t.Run(attune.Shorten(tc.body, 60), func(t *testing.T) {
			t.Parallel()
			method := http.MethodPost
			if strings.HasSuffix(tc.path, "/limit") {
				method = http.MethodPut
			}
			recorder := setup(t).do(t, request{method, tc.path, tc.body, nil})
			problem := requireProblem(t, recorder, 422, "invalid")
			require.Contains(t, problem.Detail, tc.detail)
			require.NotContains(t, strings.ToLower(problem.Detail), "go ")
			require.Less(t, recorder.Body.Len(), 1000)
		})
	}
}

// A problem repeats only a bounded part of a request, however many errors the request has.
func TestProblemsAreShort(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("ä", 20_000)
	var members []string
	for i := range 20_000 {
		members = append(members, fmt.Sprintf(`"wrong%d": 1`, i))
	}
	for _, in := range []request{
		post("/api/v1/events", `{"trigger": "`+long+`", "payload": {}}`),
		post("/api/v1/events", `{"trigger": "github.push", "payload": {}, "`+long+`": 1}`),
		post("/api/v1/events", `{"trigger": "github.push", "payload": {}, `+strings.Join(members, ",")+`}`),
		post("/api/v1/events", `{"trigger": "github.push", "payload": {}} `+long),
		post("/api/v1/events", `{"trigger": "github.push", "payload": {}, "dedup_key": "`+long+`"}`),
		post("/api/v1/actions/"+long[:20_000]+"/run", `{}`),
		get("/api/v1/events?" + long + "=1"), get("/api/v1/events?limit=" + long), get("/api/v1/events?trigger=" + long),
		get("/api/v1/enforcements?status=" + long), get("/api/v1/enforcements?queue=" + long), get("/api/v1/executions?worker=" + long),
		get("/api/v1/events?" + long + "=1&" + long + "=2"), get("/api/v1/events?limit=%zz" + long), get("/api/v1/events/" + long),
		get("/" + long), {strings.Repeat("X", 20_000), "/api/v1/events", "", nil},
	} {
		recorder := setup(t).do(t, in)
		require.GreaterOrEqual(t, recorder.Code, 400, attune.Shorten(in.path, 60))
		require.Less(t, recorder.Code, 500, attune.Shorten(in.path, 60))
		require.Less(t, recorder.Body.Len(), 6000, attune.Shorten(in.path, 60))
	}
}

// bodies returns every route that reads a body, from the OpenAPI document.
func bodies(t *testing.T) []string {
	t.Helper()
	recorder := setup(t).do(t, get("/api/v1/openapi.json"))
	var found struct {
		Paths map[string]map[string]struct {
			RequestBody json.RawMessage `json:"requestBody"`
		}
	}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &found))
	fill := strings.NewReplacer("{key}", "gh", "{id}", "7", "{ref}", "shop.deploy", "{scope}", "action")
	var routes []string
	for path, operations := range found.Paths {
		for method, operation := range operations {
			if operation.RequestBody != nil {
				routes = append(routes, strings.ToUpper(method)+" "+fill.Replace(path))
			}
		}
	}
	require.GreaterOrEqual(t, len(routes), 10)
	return routes
}

// On every route, a body that ends early or is framed wrongly is the caller's error and is not logged.
func TestBodyThatDoesNotArrive(t *testing.T) {
	t.Parallel()

	broken := map[string]string{
		"ends early":          "Content-Length: 100\r\n\r\n{\"a\"",
		"no chunk size":       "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
		"chunk ends early":    "Transfer-Encoding: chunked\r\n\r\n64\r\n{\"a\"",
		"chunks without end":  "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
		"nothing but headers": "Content-Length: 2\r\n\r\n",
	}
	for _, route := range bodies(t) {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			server := httptest.NewServer(b.server(t).Handler())
			t.Cleanup(server.Close)
			for name, rest := range broken {
				status, body := raw(t, server, route+" HTTP/1.1\r\nHost: attune\r\nAuthorization: Bearer "+apiToken+
					"\r\nContent-Type: application/json\r\n"+rest)
				require.Equal(t, http.StatusBadRequest, status, name)
				require.Contains(t, body, `"code":"malformed"`, name)
				require.Contains(t, body, "the body did not arrive completely", name)
			}
			require.Empty(t, b.recorder.events)
			require.Empty(t, b.log.String())
		})
	}
}

// raw sends bytes, closes its side of the connection, and returns the response.
func raw(t *testing.T, server *httptest.Server, text string) (status int, body string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	tcp, ok := conn.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.CloseWrite())
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// Every parameter takes one value, in every operation that has parameters.
func TestRepeatedQueryParameters(t *testing.T) {
	t.Parallel()

	recorder := setup(t).do(t, get("/api/v1/openapi.json"))
	var found struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &found))
	fill := strings.NewReplacer("{key}", "gh", "{id}", "7", "{ref}", "shop.deploy", "{scope}", "action")
	tried := 0
	for path, operations := range found.Paths {
		for method, operation := range operations {
			for _, parameter := range operation.Parameters {
				if parameter.In != "query" {
					continue
				}
				tried++
				query := "?" + parameter.Name + "=1&" + parameter.Name + "=2"
				in := request{strings.ToUpper(method), fill.Replace(path) + query, "", nil}
				problem := requireProblem(t, setup(t).do(t, in), 422, "invalid")
				require.Equal(t, "query."+parameter.Name+": sent 2 times: send it once", problem.Detail, in.path)
				require.Equal(t, "query."+parameter.Name, problem.Errors[0].Location, in.path)
			}
		}
	}
	require.Greater(t, tried, 20)

	problem := requireProblem(t, setup(t).do(t, get("/api/v1/executions?status=failed&status=timed_out&status=failed")), 422, "invalid")
	require.Equal(t, "query.status: sent 3 times: send it once", problem.Detail)
	for _, query := range []string{"?status=failed;limit=5", "?status=%zz"} {
		problem := requireProblem(t, setup(t).do(t, get("/api/v1/executions"+query)), 422, "invalid")
		require.Contains(t, problem.Detail, "query: cannot be parsed", "a part of a query is not left out silently")
	}
}
