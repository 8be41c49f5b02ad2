package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/policy"
)

// fakePolicies is a store with the action shop.deploy, its pack and its queue.
type fakePolicies struct {
	mutex     sync.Mutex
	found     map[policy.Scope]policy.Documents
	authors   []attune.Author
	uses      []policy.KeyUse
	announced []string
	reach     policy.Reach
	reachErr  error
	always    bool // a person has set a document for every scope, also after a change
}

func (f *fakePolicies) List(context.Context, attune.Page) (all []policy.Stored, err error) {
	for _, d := range f.found {
		for _, one := range []*policy.Stored{d.Pack, d.Person} {
			if one != nil {
				all = append(all, *one)
			}
		}
	}
	return all, nil
}

func (f *fakePolicies) Documents(_ context.Context, scope policy.Scope, ref string) (policy.Documents, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if ref == "shop.nothing" {
		return policy.Documents{}, notFound("action")
	}
	found := f.found[scope]
	if f.always {
		found.Person = &policy.Stored{ID: 1, Revision: 1, Policy: attune.Policy{Limit: new(1)}}
	}
	return found, nil
}

func (f *fakePolicies) Change(ctx context.Context, change policy.Change) (policy.Documents, error) {
	found, err := f.Documents(ctx, change.Scope, change.Ref)
	if err != nil {
		return found, err
	}
	draft, err := change.Decide(found, noon)
	if err != nil {
		return found, err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var revision int64
	if found.Person != nil {
		revision = found.Person.Revision
	}
	found.Person = nil
	if draft != nil {
		found.Person = &policy.Stored{
			ID: 7, Scope: change.Scope, Ref: change.Ref, Origin: policy.OriginPerson, Policy: draft.Policy, Revision: revision + 1,
			Author: &change.Author, UpdatedAt: noon, Until: draft.Until,
		}
	}
	f.found[change.Scope] = found
	f.authors = append(f.authors, change.Author)
	return found, nil
}

func (f *fakePolicies) KeyUses(context.Context, policy.Scope, string) ([]policy.KeyUse, error) {
	return f.uses, nil
}

func (f *fakePolicies) Announce(_ context.Context, scope policy.Scope, ref string) (policy.Reach, error) {
	f.announced = append(f.announced, string(scope)+" "+ref)
	return f.reach, f.reachErr
}

func newFakePolicies() *fakePolicies {
	return &fakePolicies{
		found: map[policy.Scope]policy.Documents{policy.ScopeAction: {Pack: &policy.Stored{
			ID: 3, Scope: policy.ScopeAction, Ref: "shop.deploy", Origin: policy.OriginPack, Policy: attune.Policy{Limit: new(2)}, Revision: 4,
		}}},
		uses: []policy.KeyUse{{
			Action: "shop.deploy", Trigger: "shop.push", Payload: json.RawMessage(`{"properties":{"token":{"writeOnly":true}}}`),
			Parameters: json.RawMessage(`{"properties":{"env":{}},"additionalProperties":false}`),
		}},
		reach: policy.Reach{Told: 2, NotTold: 1},
	}
}

const deployDocument = "/api/v1/policies/action/shop.deploy"

// change sends a change of a policy.
func (b *bundle) change(t *testing.T, method, path, body string, header ...string) (*httptest.ResponseRecorder, api.ChangedPolicy) {
	t.Helper()
	recorder := b.do(t, request{method: method, path: path, body: body, header: header})
	var changed api.ChangedPolicy
	if recorder.Code == http.StatusOK {
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &changed))
	}
	return recorder, changed
}

func TestPolicies(t *testing.T) {
	t.Parallel()

	t.Run("a document is set, changed, read and removed, with its author and a version", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorder, changed := b.change(t, http.MethodPut, deployDocument,
			`{"policy":{"limit":5,"key":" parameters.env "},"until":"2030-01-02T13:00:00Z","note":"two regions","on_behalf_of":"ada"}`)
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		require.Equal(t, `"7.1-3.4"`, recorder.Header().Get("ETag"))
		require.Equal(t, attune.Policy{Limit: new(5), Key: new("parameters.env")}, changed.Person.Policy)
		require.Equal(t, new(2), changed.Pack.Policy.Limit)
		require.Equal(t, "two regions", changed.Person.Author.Note)
		require.Equal(t, "ada", b.policies.authors[0].OnBehalfOf)
		require.Equal(t, &policy.Reach{Told: 2, NotTold: 1}, changed.Reach)
		require.Equal(t, []string{"action shop.deploy"}, b.policies.announced)
		require.Equal(t, "policy.set", b.audit.entries[0].Action)
		require.Equal(t, "action shop.deploy", b.audit.entries[0].Subject)
		require.Equal(t, "two regions", b.audit.entries[0].Note)
		require.JSONEq(t, `{"policy":{"limit":5,"key":" parameters.env "},"until":"2030-01-02T13:00:00Z"}`, string(b.audit.entries[0].Detail))

		recorder, changed = b.change(t, http.MethodPatch, deployDocument, `{"policy":{"key":null,"max_attempts":3}}`)
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		require.Equal(t, attune.Policy{Limit: new(5), MaxAttempts: new(3)}, changed.Person.Policy)
		require.Equal(t, noon.Add(time.Hour), *changed.Person.Until, "the end stays")
		require.JSONEq(t, `{"policy":{"key":null,"max_attempts":3}}`, string(b.audit.entries[1].Detail))
		_, changed = b.change(t, http.MethodPatch, deployDocument, `{"until":null}`)
		require.Nil(t, changed.Person.Until)

		recorder = b.do(t, get(deployDocument))
		require.Equal(t, `"7.3-3.4"`, recorder.Header().Get("ETag"))
		var found api.PolicyScope
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &found))
		require.Equal(t, changed.PolicyScope, found)

		_, changed = b.change(t, http.MethodDelete, deployDocument, `{"note":"over"}`)
		require.Nil(t, changed.Person)
		recorder, _ = b.change(t, http.MethodDelete, deployDocument, "")
		require.Equal(t, http.StatusNotFound, recorder.Code)
		recorder, _ = b.change(t, http.MethodPatch, deployDocument, `{"policy":{"limit":null}}`)
		require.Equal(t, http.StatusNotFound, recorder.Code, "there is no field to remove")
	})

	t.Run("a document without fields ends", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.change(t, http.MethodPut, "/api/v1/policies/global", `{"policy":{"limit":5}}`)
		recorder, changed := b.change(t, http.MethodPatch, "/api/v1/policies/global", `{"policy":{"limit":null}}`)
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		require.Nil(t, changed.Person)
		require.Equal(t, policy.ScopeGlobal, changed.Scope)
		require.Equal(t, []string{"global ", "global "}, b.policies.announced)
		require.Equal(t, "global-policy.set", b.audit.entries[0].Action)
	})

	t.Run("a change that is made is no error when its queues cannot be counted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.policies.reachErr = attune.Errorf(attune.CodeUnavailable, "the database is away")
		recorder, changed := b.change(t, http.MethodPut, deployDocument, `{"policy":{"limit":5}}`)
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		require.Equal(t, new(5), changed.Person.Policy.Limit)
		require.Nil(t, changed.Reach)
		require.NotContains(t, recorder.Body.String(), "told")
		require.Contains(t, b.log.String(), "could not be counted")
		require.Equal(t, "policy.set", b.audit.entries[0].Action)
	})

	t.Run("a shared queue is joined only by actions that its expressions fit", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.policies.found[policy.ScopeQueue] = policy.Documents{
			Pack:   &policy.Stored{Policy: attune.Policy{Key: new("parameters.env")}},
			Person: &policy.Stored{Policy: attune.Policy{Key: new("event.payload.token")}},
		}
		for method, body := range map[string]string{
			http.MethodPut: `{"policy":{"queue":"shop.line"}}`, http.MethodPatch: `{"policy":{"queue":"shop.line"}}`,
		} {
			recorder, _ := b.change(t, method, deployDocument, body)
			problem := requireProblem(t, recorder, http.StatusUnprocessableEntity, "invalid")
			require.Equal(t, "body.policy.queue", problem.Errors[0].Location)
			require.Contains(t, problem.Errors[0].Message, "an expression of the queue shop.line does not fit: policy key, for action")
		}
		require.Empty(t, b.policies.authors)
		recorder, _ := b.change(t, http.MethodPut, deployDocument, `{"policy":{"queue":"shop.line","key":"parameters.env"}}`)
		require.Equal(t, http.StatusOK, recorder.Code, "the action has a key of its own: "+recorder.Body.String())
		recorder, _ = b.change(t, http.MethodPut, deployDocument, `{"policy":{"queue":"shop.deploy"}}`)
		require.Equal(t, http.StatusOK, recorder.Code, "the action leaves the queue of its pack: "+recorder.Body.String())

		b.policies.found[policy.ScopeQueue] = policy.Documents{Pack: &policy.Stored{Policy: attune.Policy{
			Rate: []attune.Rate{{Name: "r", Limit: 1, Window: attune.Duration(time.Hour), Key: "event.payload.token"}},
		}}}
		recorder, _ = b.change(t, http.MethodPut, deployDocument, `{"policy":{"queue":"shop.line","key":"parameters.env"}}`)
		require.Contains(t, requireProblem(t, recorder, http.StatusUnprocessableEntity, "invalid").Detail, "rate[0].key")
	})

	t.Run("the list has the documents of packs and people", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.change(t, http.MethodPut, "/api/v1/policies/pack/shop", `{"policy":{"limit":5}}`)
		var list api.List[policy.Stored]
		require.NoError(t, json.Unmarshal(b.do(t, get("/api/v1/policies")).Body.Bytes(), &list))
		require.Len(t, list.Items, 2)
	})
}

func TestPolicies_Conditions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	put := func(header string, want int) {
		t.Helper()
		recorder, _ := b.change(t, http.MethodPut, deployDocument, `{"policy":{"limit":5}}`, header)
		require.Equal(t, want, recorder.Code, recorder.Body.String())
		if want == http.StatusPreconditionFailed {
			require.Contains(t, recorder.Body.String(), `"precondition_failed"`)
		}
	}
	put(`If-Match: *`, http.StatusPreconditionFailed)
	put(`If-Match: "0-3.3"`, http.StatusPreconditionFailed)
	put(`If-None-Match: *`, http.StatusOK)
	put(`If-None-Match: *`, http.StatusPreconditionFailed)
	put(`If-Match: "7.1-3.4"`, http.StatusOK)
	put(`If-Match: "7.1-3.4"`, http.StatusPreconditionFailed)
	put(`If-Match: W/"7.2-3.4"`, http.StatusPreconditionFailed)
	put(`If-Match: "0-0", "7.2-3.4"`, http.StatusOK)
	put(`If-Match: *`, http.StatusOK)
	recorder, _ := b.change(t, http.MethodDelete, deployDocument, "", `If-Match: "7.1-3.4"`)
	require.Equal(t, http.StatusPreconditionFailed, recorder.Code)
}

func TestPolicies_Refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		location, message  string
	}{
		"a limit below the range":      {"PUT", deployDocument, `{"policy":{"limit":-1}}`, 422, "body.policy.limit", "0"},
		"a limit above the range":      {"PATCH", deployDocument, `{"policy":{"limit":5001}}`, 422, "body.policy.limit", "5000"},
		"a limit that is no number":    {"PUT", deployDocument, `{"policy":{"limit":"5"}}`, 422, "body.policy.limit", "integer"},
		"an unknown field":             {"PUT", deployDocument, `{"policy":{"limt":5}}`, 422, "body.policy.limt", "unknown field"},
		"an unknown field to remove":   {"PATCH", deployDocument, `{"policy":{"limt":null}}`, 422, "body.policy.limt", "unknown field"},
		"a field that is given twice":  {"PUT", deployDocument, `{"policy":{"limit":5,"limit":6}}`, 422, "body.policy.limit", "given twice"},
		"a duration without a unit":    {"PUT", deployDocument, `{"policy":{"retry_delay":"5"}}`, 422, "body.policy.retry_delay", "unit"},
		"no field":                     {"PUT", deployDocument, `{"policy":{}}`, 422, "body.policy", "set a field"},
		"no document":                  {"PUT", deployDocument, `{}`, 422, "body", "policy"},
		"an end in the past":           {"PUT", deployDocument, `{"policy":{"limit":5},"until":"2030-01-02T12:00:00Z"}`, 422, "body.until", "future"},
		"a key with a syntax error":    {"PUT", deployDocument, `{"policy":{"key":"parameters."}}`, 422, "body.policy.key", "1:12"},
		"a key that is no scalar":      {"PATCH", deployDocument, `{"policy":{"key":"[1]"}}`, 422, "body.policy.key", "yields list"},
		"a key that reads a secret":    {"PUT", deployDocument, `{"policy":{"key":"event.payload.token"}}`, 422, "body.policy.key", `trigger "shop.push": 1:`},
		"a key without a parameter":    {"PUT", deployDocument, `{"policy":{"key":"parameters.tenant"}}`, 422, "body.policy.key", "does not accept"},
		"an action that is not there":  {"PUT", "/api/v1/policies/action/shop.nothing", `{"policy":{"limit":5}}`, 404, "", ""},
		"a text that is no reference":  {"GET", "/api/v1/policies/action/shop", "", 404, "", "pack.name"},
		"a scope that is not there":    {"PUT", "/api/v1/policies/team/shop", `{"policy":{"limit":5}}`, 422, "path.scope", "action"},
		"a reference of everything":    {"PUT", "/api/v1/policies/global/shop", `{"policy":{"limit":5}}`, 422, "path.scope", "action"},
		"a note that is not recorded":  {"PUT", deployDocument, `{"policy":{"limit":5},"note":"a\u0000b"}`, 422, "", "note"},
		"a rate with a wrong window":   {"PUT", deployDocument, `{"policy":{"rate":[{"name":"a","limit":1,"window":"0s"}]}}`, 422, "body.policy.rate[0].window", "use 1ms"},
		"a cost that is no number":     {"PATCH", deployDocument, `{"policy":{"quota":[{"name":"a","limit":1,"period":"day","cost":"true"}]}}`, 422, "body.policy.quota[0].cost", "want int"},
		"a delay of a pack":            {"PUT", "/api/v1/policies/pack/shop", `{"policy":{"rate":[{"name":"a","limit":1,"window":"1s","method":"delay"}]}}`, 422, "body.policy.rate[0].method", "cannot delay"},
		"a mistake inside a structure": {"PUT", deployDocument, `{"policy":{"retry_on":{"exit_codes":[0]}}}`, 422, "body.policy.retry_on.exit_codes[0]", "1 to 255"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var recorder *httptest.ResponseRecorder
			if recorder = b.do(t, request{method: tt.method, path: tt.path, body: tt.body}); tt.status != recorder.Code {
				require.Equal(t, tt.status, recorder.Code, recorder.Body.String())
			}
			var problem api.Problem
			require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &problem))
			if tt.location != "" {
				require.Equal(t, tt.location, problem.Errors[0].Location, recorder.Body.String())
				require.Contains(t, problem.Errors[0].Message, tt.message)
			}
			require.Contains(t, problem.Detail, tt.message)
			require.Empty(t, b.policies.authors, "nothing has changed")
			require.Empty(t, strings.Join(b.policies.announced, ""))
		})
	}
}
