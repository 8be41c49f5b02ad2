package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/ingest"
	"github.com/attune-go/attune/rules"
	"github.com/attune-go/attune/secrets"
)

const (
	apiToken      = "0123456789abcdef0123456789abcdef"
	requestID     = "test-request"
	webhookSecret = "It's a Secret to Everybody"
)

// noon is the time of every event in these tests.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// bundle is a server with fakes. A test replaces the functions it needs before the first request.
type bundle struct {
	engine       *fakeEngine
	triggers     *fakeTriggers
	recorder     *fakeRecorder
	events       *fakeEvents
	enforcements *fakeEnforcements
	executions   *fakeExecutions
	actions      *fakeActions
	rules        *fakeRules
	queues       *fakeQueues
	gates        *fakeGates
	details      *fakeDetails
	doctor       *fakeDoctor
	journal      *fakeJournal
	trials       *fakeTrials
	reader       *fakePolicyReader
	control      *fakeControl
	policies     *fakePolicies
	vault        *fakeVault
	metrics      *fakeMetrics
	callers      fakeCallers
	tokens       *fakeTokens
	audit        *fakeAudit
	secrets      map[string]string
	log          *lockedBuffer
	config       api.Config
	deps         api.Deps
	built        *api.Server
}

// fakePacks and fakeQueueStore combine the fakes of the interfaces that one store implements.
type (
	fakePacks struct {
		*fakeActions
		ruleStore
		*fakeTriggers
	}
	ruleStore      = api.Rules // embedded under another name: its method Rules would collide with the field
	fakeQueueStore struct {
		*fakeQueues
		*fakeDetails
		*fakeJournal
		*fakeTrials
		*fakePolicyReader
	}
)

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{
		engine: &fakeEngine{}, triggers: &fakeTriggers{}, recorder: &fakeRecorder{}, events: &fakeEvents{},
		enforcements: &fakeEnforcements{}, executions: &fakeExecutions{}, actions: &fakeActions{}, rules: &fakeRules{},
		queues: &fakeQueues{}, gates: &fakeGates{}, details: &fakeDetails{}, doctor: &fakeDoctor{}, journal: &fakeJournal{}, trials: &fakeTrials{}, reader: &fakePolicyReader{}, control: &fakeControl{}, policies: newFakePolicies(), metrics: &fakeMetrics{}, log: &lockedBuffer{},
		callers: fakeCallers{apiToken: admin}, tokens: &fakeTokens{}, audit: &fakeAudit{}, vault: &fakeVault{},
		secrets: map[string]string{"GITHUB_SECRET": webhookSecret},
	}
	b.config = api.Config{Version: "1.2.3", Addr: "127.0.0.1:0"}
	in, err := ingest.New(ingest.Deps{
		Triggers: b.triggers, Actions: b.actions, Engine: b.engine, Encrypter: &secrets.Keyring{}, Recorder: b.recorder, Metrics: b.metrics,
	})
	require.NoError(t, err)
	b.deps = api.Deps{
		Callers: b.callers, Tokens: b.tokens, Audit: b.audit, Ingest: in, Events: b.events,
		Packs: fakePacks{b.actions, b.rules, b.triggers}, Enforcements: b.enforcements, Executions: b.executions,
		Queues: fakeQueueStore{b.queues, b.details, b.journal, b.trials, b.reader}, Gates: b.gates, Control: b.control, Policies: b.policies, Announcer: b.policies,
		CheckPolicy: rules.CheckPolicyUses, Doctor: b.doctor, Secrets: b.vault, Metrics: b.metrics,
		MetricsPage:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "attune_up 1\n") }),
		LookupSecret: func(name string) (string, error) { return b.secrets[name], nil },
		Logger:       slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	return b
}

// server creates the server at the first request: later changes of config and deps have no effect, changes of the fakes do.
func (b *bundle) server(t *testing.T) *api.Server {
	t.Helper()
	if b.built == nil {
		server, err := api.New(b.config, b.deps)
		require.NoError(t, err)
		b.built = server
	}
	return b.built
}

// request is one request with the token; header entries are "Name: value", and "Name:" removes one.
type request struct {
	method, path, body string
	header             []string
}

func (b *bundle) do(t *testing.T, in request) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	b.server(t).Handler().ServeHTTP(recorder, in.build(t))
	return recorder
}

func (in request) build(t *testing.T) *http.Request {
	t.Helper()
	var body io.Reader
	if in.body != "" {
		body = strings.NewReader(in.body)
	}
	r := httptest.NewRequestWithContext(t.Context(), in.method, in.path, body)
	r.Header.Set("Authorization", "Bearer "+apiToken)
	r.Header.Set("X-Request-Id", requestID)
	if in.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, entry := range in.header {
		name, value, _ := strings.Cut(entry, ":")
		if value = strings.TrimSpace(value); value == "" {
			r.Header.Del(name)
			continue
		}
		r.Header.Set(name, value)
	}
	return r
}

func get(path string) request { return request{method: http.MethodGet, path: path} }

func post(path, body string) request { return request{method: http.MethodPost, path: path, body: body} }

// requireJSON compares a whole body.
func requireJSON(t *testing.T, want string, recorder *httptest.ResponseRecorder) {
	t.Helper()
	require.JSONEq(t, want, recorder.Body.String())
}

// requireProblem checks the parts of a problem that callers rely on, and returns it.
func requireProblem(t *testing.T, recorder *httptest.ResponseRecorder, status int, code string) api.Problem {
	t.Helper()
	require.Equal(t, status, recorder.Code, recorder.Body.String())
	require.Equal(t, "application/problem+json", recorder.Header().Get("Content-Type"))
	var problem api.Problem
	decoder := json.NewDecoder(bytes.NewReader(recorder.Body.Bytes()))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&problem))
	require.Equal(t, "about:blank", problem.Type)
	require.Equal(t, http.StatusText(status), problem.Title)
	require.Equal(t, status, problem.Status)
	require.Equal(t, code, problem.Code)
	require.NotEmpty(t, problem.Detail)
	return problem
}

func notFound(what string) error { return attune.Errorf(attune.CodeNotFound, "there is no %s", what) }
