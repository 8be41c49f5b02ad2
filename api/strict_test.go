package api_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// operation is one operation of the OpenAPI document.
type operation struct {
	method, path string // the path has a value for each of its parameters
	in           apiOperation
	members      []string // of the body
}

// operations reads the OpenAPI document of a server.
func (b *bundle) operations(t *testing.T) []operation {
	t.Helper()
	var document apiDocument
	require.NoError(t, json.Unmarshal(b.do(t, get("/api/v1/openapi.json")).Body.Bytes(), &document))
	fill := strings.NewReplacer("{key}", "shop.deploy", "{id}", "7", "{ref}", "shop.deploy", "{name}", "TOKEN", "{scope}", "action")
	var found []operation
	for path, methods := range document.Paths {
		for method, in := range methods {
			op := operation{method: strings.ToUpper(method), path: fill.Replace(path), in: in}
			if in.RequestBody != nil {
				schema := in.RequestBody.Content["application/json"].Schema
				if schema.Ref != "" {
					schema = document.Components.Schemas[strings.TrimPrefix(schema.Ref, "#/components/schemas/")]
				}
				op.members = slices.Sorted(maps.Keys(schema.Properties))
			}
			found = append(found, op)
		}
	}
	return found
}

// serve answers a request as it is.
func (b *bundle) serve(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	b.server(t).Handler().ServeHTTP(recorder, r)
	return recorder
}

// Every member of every body is sent once and written as it is declared.
func TestBodyMembersAreExact(t *testing.T) {
	t.Parallel()
	b := setupAll(t)
	tried := 0
	for _, op := range b.operations(t) {
		for _, name := range op.members {
			tried++
			in := request{op.method, op.path, `{"` + name + `": 1, "` + name + `": 1}`, nil}
			problem := requireProblem(t, b.do(t, in), 400, "malformed")
			require.Equal(t, "body."+name+": sent twice: send it once", problem.Detail, op.path)
			require.Equal(t, "body."+name, problem.Errors[0].Location)

			for _, other := range []string{strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
				in.body = `{"` + other + `": 1}`
				problem := requireProblem(t, b.do(t, in), 400, "malformed")
				require.Equal(t, "body."+other+": unexpected property: write it \""+name+`"`, problem.Detail, op.path)
			}

			in.body = `{"` + name + `x": 1}`
			problem = requireProblem(t, b.do(t, in), 422, "invalid")
			require.Contains(t, problem.Detail, "body."+name+"x: unexpected property", op.path)
		}
	}
	require.Greater(t, tried, 20)
	require.Empty(t, b.recorder.events)

	b = setupAll(t)
	problem := requireProblem(t, b.do(t, request{http.MethodPut, "/api/v1/queues/shop.deploy/limit", `{"limit": 1, "\u006cimit": 3}`, nil}), 400, "malformed")
	require.Equal(t, "body.limit: sent twice: send it once", problem.Detail, "an escape does not make another name")
	problem = requireProblem(t, b.do(t, post("/api/v1/queues/shop.deploy/pause", `{"ſ": 1, "on_behalf_of": "sam", "ON_BEHALF_OF": "eve"}`)), 400, "malformed")
	require.Contains(t, problem.Detail, "body.ON_BEHALF_OF")
}

// The members inside of a payload and of parameters belong to the caller: they are recorded as they are.
func TestPayloadMembersAreFree(t *testing.T) {
	t.Parallel()
	const object = `{"Trigger": 1, "a": 1, "A": 2, "a": 3}`
	b := setup(t).withRules(t, attune.Rule{}, "")
	for _, in := range []request{
		post("/api/v1/events", `{"trigger": "github.push", "payload": `+object+`}`),
		post("/api/v1/actions/shop.deploy/run", `{"parameters": `+object+`}`),
		delivery("gh", object),
	} {
		recorder := b.do(t, in)
		require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
	}
	require.Len(t, b.recorder.events, 3)
	for _, event := range b.recorder.events {
		require.Contains(t, string(event.Payload), object)
	}
}

// A header that decides about a request has one value.
func TestRepeatedHeaders(t *testing.T) {
	t.Parallel()
	event := post("/api/v1/events", `{"trigger": "github.push", "payload": {}}`)
	hook := delivery("gh", `{}`, "X-GitHub-Delivery: d-1")
	cases := []struct {
		in            request
		header, value string
	}{
		{event, "Idempotency-Key", "d-2"}, {event, "Authorization", "Bearer " + apiToken}, {event, "Content-Type", "application/json"},
		{event, "Origin", "https://attune.example"}, {event, "Sec-Fetch-Site", "same-origin"},
		{post("/api/v1/actions/shop.deploy/run", `{}`), "Idempotency-Key", "d-2"},
		{hook, "X-Hub-Signature-256", sign(webhookSecret, `{}`)}, {hook, "Content-Type", "application/json"}, {hook, "X-GitHub-Delivery", "d-1"},
	}
	for _, tc := range cases {
		t.Run(tc.header+" of "+tc.in.path, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := tc.in.build(t)
			r.Header.Set(tc.header, tc.value)
			r.Header.Add(tc.header, tc.value)
			problem := requireProblem(t, b.serve(t, r), 400, "malformed")
			require.Equal(t, "header."+tc.header+": sent 2 times: send it once", problem.Detail)
			require.Equal(t, "header."+tc.header, problem.Errors[0].Location)
			require.Empty(t, b.recorder.events)
		})
	}

	t.Run("a health check reads no such header", func(t *testing.T) {
		t.Parallel()
		r := get("/readyz").build(t)
		r.Header.Add("Authorization", "Bearer another")
		require.Equal(t, http.StatusOK, setup(t).serve(t, r).Code)
	})

	t.Run("several request ids are replaced by a new one", func(t *testing.T) {
		t.Parallel()
		r := get("/livez").build(t)
		r.Header.Add("X-Request-Id", "another")
		recorder := setup(t).serve(t, r)
		require.Equal(t, http.StatusOK, recorder.Code)
		require.Regexp(t, `^[A-Z2-7]{26}$`, recorder.Header().Get("X-Request-Id"))
	})
}

// Every number in a path or query has one form.
func TestNumbersAreCanonical(t *testing.T) {
	t.Parallel()
	b := setupAll(t)
	tried := 0
	for _, op := range b.operations(t) {
		for _, parameter := range op.in.Parameters {
			if parameter.Schema.Type != "integer" {
				continue
			}
			tried++
			for _, number := range []string{"+7", "07", "-0", " 7", "7 ", "7_0", "0x7", "7.0", "7e0", "٧"} {
				path := op.path + "?" + url.Values{parameter.Name: {number}}.Encode()
				if parameter.In == "path" {
					path = strings.Replace(op.path, "/7", "/"+url.PathEscape(number), 1)
				}
				problem := requireProblem(t, b.do(t, request{op.method, path, "", nil}), 422, "invalid")
				require.Equal(t, parameter.In+"."+parameter.Name, problem.Errors[0].Location, path)
			}
		}
	}
	require.Greater(t, tried, 15)

	problem := requireProblem(t, b.do(t, get("/api/v1/events/+7")), 422, "invalid")
	require.Equal(t, "path.id: write the number without a plus sign and without leading zeros", problem.Detail)
	require.Equal(t, http.StatusOK, b.do(t, get("/api/v1/events/%37")).Code)

	require.Equal(t, http.StatusOK, b.do(t, get("/api/v1/events?cursor=YmVmb3JlOjQ")).Code)
	for _, number := range []string{"+4", "04", "-0"} {
		cursor := base64.RawURLEncoding.EncodeToString([]byte("before:" + number))
		problem := requireProblem(t, b.do(t, get("/api/v1/events?cursor="+cursor)), 422, "invalid")
		require.Contains(t, problem.Detail, "query.cursor: not a cursor")
	}
}

// A path that is not clean is not found. ServeMux would redirect the caller, with a body in HTML.
func TestUncleanPaths(t *testing.T) {
	t.Parallel()
	b := setupAll(t)
	tried := 0
	for _, op := range b.operations(t) {
		for at := range op.path {
			if op.path[at] != '/' {
				continue
			}
			for _, part := range []string{"//", "/./", "/../", "/x/../"} {
				tried++
				path := op.path[:at] + part + op.path[at+1:]
				recorder := b.do(t, request{op.method, path, "", nil})
				problem := requireProblem(t, recorder, 404, "not_found")
				require.Equal(t, "there is nothing at "+path+`: the path has an empty segment, "." or ".."`, problem.Detail)
				require.Empty(t, recorder.Header().Get("Location"))
			}
		}
	}
	require.Greater(t, tried, 300)
	for _, path := range []string{"/api/v1/queues//changes", "/api/v1/queues/.", "/api/v1/queues/..", "/api/v1//", "//"} {
		requireProblem(t, b.do(t, get(path)), 404, "not_found")
	}
	require.Equal(t, tried+5, b.metrics.of("GET unmatched Not Found")+b.metrics.of("POST unmatched Not Found")+b.metrics.of("PUT unmatched Not Found")+
		b.metrics.of("DELETE unmatched Not Found")+b.metrics.of("PATCH unmatched Not Found"))
}

// The key of a queue may have slashes and dots, when they are escaped.
func TestEscapedQueueKeys(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"a/b", "a//b", "../a", "a/./b", ".."} {
		b := setupAll(t)
		var read attune.QueueKey
		b.details.detail = func(key attune.QueueKey, _ int) (attune.QueueDetail, error) {
			read = key
			return attune.QueueDetail{}, nil
		}
		escaped := strings.NewReplacer("/", "%2F", ".", "%2E").Replace(key)
		recorder := b.do(t, get("/api/v1/queues/"+escaped))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		require.Equal(t, attune.QueueKey(key), read)
		require.Equal(t, http.StatusOK, b.do(t, get("/api/v1/queues/"+escaped+"/changes")).Code)
	}
}
