package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// policyAPI is an API that records what it receives.
type policyAPI struct {
	mu       sync.Mutex
	received []string // "method path condition body"
	refusal  string   // a problem document that answers every request, unless it is empty
}

func (a *policyAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	condition := ""
	if version := r.Header.Get("If-Match"); version != "" {
		condition = "If-Match " + version + " "
	}
	a.received = append(a.received, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+condition+string(body)))
	w.Header().Set("ETag", `"7.3-0"`)
	if a.refusal != "" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, a.refusal)
		return
	}
	const document = `{"scope": "action", "ref": "shop.deploy", "origin": "person", "policy": {"limit": 5, "key": "parameters.env"},
		"revision": 3, "author": {"principal": {"name": "ci", "method": "token"}, "note": "two regions"},
		"updated_at": "2030-01-02T12:00:00Z", "until": "2030-01-02T14:00:00Z"}`
	scope := `"scope": "action", "ref": "shop.deploy", "person": ` + document
	switch {
	case r.URL.Path == "/api/v1/policies":
		_, _ = io.WriteString(w, `{"items": [`+document+`]}`)
	case strings.HasSuffix(r.URL.Path, "/policy"):
		_, _ = io.WriteString(w, `{"action": "shop.deploy", "queue": "shop.all", "gates": [{"scope": "pack", "ref": "shop", "origin": "pack",
			"revision": 1, "quota": {"name": "daily", "limit": 9, "period": "day"}, "now": {"kind": "quota", "name": "daily", "limit": 9,
			"key": "acme", "count": 9, "cost": 1, "allowed": false}}],
			"now": {"accepted": false, "starts_at_once": false, "reason": "quota_exceeded", "detail": "all are used"},
			"lane": {"key": "acme", "waiting": 1, "active": 2, "limit": 3}, "policy": {"revision": 2, "limit": {"value": 5, "from": "action shop.deploy (set by a person)",
			"source": {"scope": "action", "ref": "shop.deploy", "origin": "person", "revision": 3}}, "max_queued": {"value": 10000, "from": "default", "next": 20}}}`)
	case r.Method == http.MethodDelete:
		_, _ = io.WriteString(w, `{"scope": "global", "told": 1, "not_told": 0}`)
	default:
		_, _ = io.WriteString(w, `{`+scope+`, "told": 2, "not_told": 1}`)
	}
}

// attunePolicy runs attune policy against the API.
func (a *policyAPI) attunePolicy(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(apiToken), 0o600))
	return run(t, append(append([]string{"policy"}, args...), "--url", server.URL, "--api-token-file", token)...)
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args     []string
		received string
		stdout   []string
	}{
		"fields are set": {
			[]string{"set", "action", "shop.deploy", "limit=5", "key=parameters.env", "--note", "two regions", "--until", "2030-01-02T14:00:00Z"},
			`PATCH /api/v1/policies/action/shop.deploy {"note":"two regions","policy":{"limit":5,"key":"parameters.env"},"until":"2030-01-02T14:00:00Z"}`,
			[]string{"the policy of action shop.deploy has revision 3: 2 queues follow, 1 more in a moment\n"},
		},
		"a field with members is set": {
			[]string{"set", "global", `retry_on={"exit_codes":[75]}`},
			`PATCH /api/v1/policies/global {"policy":{"retry_on":{"exit_codes":[75]}}}`, []string{"the policy of global has revision"},
		},
		"a list of rates is set": {
			[]string{"set", "action", "shop.deploy", "rate=[{name: slow, limit: 2, window: 10s}]", "quota=[]", "--if-match", `"7.1-0"`},
			`PATCH /api/v1/policies/action/shop.deploy If-Match "7.1-0" {"policy":{"rate":[{"name":"slow","limit":2,"window":"10s"}],"quota":[]}}`, nil,
		},
		"a list of rates is removed, if nothing has changed": {
			[]string{"unset", "pack", "shop", "rate", "--if-match", "*"}, `PATCH /api/v1/policies/pack/shop If-Match * {"policy":{"rate":null}}`, nil,
		},
		"fields are removed": {
			[]string{"unset", "pack", "shop", "limit", "key"}, `PATCH /api/v1/policies/pack/shop {"policy":{"key":null,"limit":null}}`, nil,
		},
		"a document is removed": {
			[]string{"unset", "global", "--all", "--note", "over"}, `DELETE /api/v1/policies/global {"note":"over"}`,
			[]string{"the policy of global is removed: 1 queue follows, 0 more in a moment\n"},
		},
		"a scope is shown": {
			[]string{"get", "action", "shop.deploy"}, `GET /api/v1/policies/action/shop.deploy`,
			[]string{"action shop.deploy, set by ci: revision 3 of 2030-01-02 12:00:00 UTC, until 2030-01-02 14:00:00 UTC", "# two regions", "limit=5", "key=parameters.env", "version \"7.3-0\"\n"},
		},
		"documents are listed": {
			[]string{"list"}, `GET /api/v1/policies`, []string{"action shop.deploy  ci      3         2030-01-02 12:00:00 UTC  2030-01-02 14:00:00 UTC  limit=5 key=parameters.env"},
		},
		"a policy is explained": {
			[]string{"explain", "shop.deploy", "--parameters", `{"tenant": "acme"}`},
			`POST /api/v1/actions/shop.deploy/policy {"parameters":{"tenant":"acme"}}`,
			[]string{
				"shop.deploy in the queue shop.all\n", "limit        5 ", "action shop.deploy  person  3\n", "max_queued   20 (in force: 10000)",
				"quota daily  9 per day (UTC), 9 used of acme  pack shop           pack    1\n",
				"An enforcement with these parameters would be rejected with quota_exceeded: all are used.\n",
				"Its lane is acme: 2 active of 3, 1 waiting.\n",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &policyAPI{}
			code, stdout, stderr := a.attunePolicy(t, tt.args...)
			require.Zero(t, code, stderr)
			require.Equal(t, []string{tt.received}, a.received)
			for _, text := range tt.stdout {
				require.Contains(t, stdout, text)
			}
		})
	}

	t.Run("a document comes from a file, whose mistakes have a place", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "policy.yaml")
		require.NoError(t, os.WriteFile(path, []byte("limit: 5\nretry_on: {exit_codes: [75]}\n"), 0o600))
		a := &policyAPI{}
		code, _, stderr := a.attunePolicy(t, "set", "pack", "shop", "--file", path)
		require.Zero(t, code, stderr)
		require.Equal(t, []string{`PUT /api/v1/policies/pack/shop {"policy":{"limit":5,"retry_on":{"exit_codes":[75]}}}`}, a.received)
		require.NoError(t, os.WriteFile(path, []byte("limit: -1\n"), 0o600))
		code, _, stderr = a.attunePolicy(t, "set", "pack", "shop", "--file", path)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, path+":1:8: policy limit -1: use 0 (grants nothing) to 5000")
		require.Len(t, a.received, 1)

		require.NoError(t, os.WriteFile(path, []byte("limit: 5\nrate:\n  - {name: slow, limit: 1, window: 1s, method: delay}\n"), 0o600))
		code, _, stderr = a.attunePolicy(t, "set", "pack", "shop", "--file", path)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, path+":3:48: rate[0].method: a rate of scope pack cannot delay", "what depends on the scope")
		require.Len(t, a.received, 1)
	})

	t.Run("the mistakes that the server finds in a file have a place", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "policy.yaml")
		require.NoError(t, os.WriteFile(path, []byte("limit: 5\nretry_on: {exit_codes: [75]}\n"), 0o600))
		a := &policyAPI{refusal: `{"title": "Unprocessable Entity", "detail": "two mistakes", "code": "invalid", "errors": [
			{"location": "body.policy.retry_on.exit_codes[0]", "message": "not this one"}, {"location": "body.policy.limit", "message": "too much"}]}`}
		code, _, stderr := a.attunePolicy(t, "set", "pack", "shop", "--file", path)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, path+":2:25: not this one\n")
		require.Contains(t, stderr, path+":1:8: too much")
		a.refusal = strings.ReplaceAll(a.refusal, "body.policy.limit", "body.until")
		_, _, stderr = a.attunePolicy(t, "set", "pack", "shop", "--file", path)
		require.Contains(t, stderr, "two mistakes", "a mistake outside of the document has no place")
	})

	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no scope":                    {[]string{"get"}, "name a scope: action REF, queue KEY, pack NAME or global"},
		"an unknown scope":            {[]string{"get", "team", "a"}, `"team" is no scope`},
		"no reference":                {[]string{"set", "pack"}, "name the pack"},
		"a wrong reference":           {[]string{"get", "action", "shop"}, "shop"},
		"an argument too many":        {[]string{"get", "global", "a"}, `"a" is one argument too many`},
		"nothing to set":              {[]string{"set", "global"}, "nothing to set"},
		"no assignment":               {[]string{"set", "global", "limit"}, `"limit" is no assignment`},
		"an unknown field":            {[]string{"set", "global", "limt=5"}, `a policy has no field "limt"`},
		"a wrong rate":                {[]string{"set", "global", "rate=[{name: a}]"}, "rate[0].limit: 0: use 1 to"},
		"a rate that is no list":      {[]string{"set", "global", "quota=5"}, "quota: got a number, want a list"},
		"a wrong value":               {[]string{"set", "global", "limit=-1"}, "policy limit -1: use 0"},
		"fields beside a file":        {[]string{"set", "global", "limit=1", "--file", "x"}, "--file replaces the whole document"},
		"a wrong end":                 {[]string{"set", "global", "limit=1", "--until", "soon"}, "use a length of time such as 90m"},
		"nothing to remove":           {[]string{"unset", "global"}, "name the fields to remove"},
		"an unknown field to remove":  {[]string{"unset", "global", "limt"}, `a policy has no field "limt"`},
		"a text that is no reference": {[]string{"explain", "shop"}, "shop"},
		"parameters that are no JSON": {[]string{"explain", "shop.deploy", "--parameters", "tenant=a"}, "--parameters is no JSON"},
	} {
		t.Run(name+" is a usage error", func(t *testing.T) {
			t.Parallel()
			a := &policyAPI{}
			code, _, stderr := a.attunePolicy(t, tt.args...)
			require.Equal(t, 2, code, stderr)
			require.Contains(t, stderr, tt.want)
			require.Empty(t, a.received)
		})
	}
}
