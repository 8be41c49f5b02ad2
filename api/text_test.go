package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/replay"
)

// TestText sends texts that attune must not store or show in every text field of every operation of the OpenAPI document.
// Each must be refused. The test also fails for a required field without a value in goodValue.
func TestText(t *testing.T) {
	t.Parallel()
	b := setupAll(t)
	var document apiDocument
	require.NoError(t, json.Unmarshal(b.do(t, get("/api/v1/openapi.json")).Body.Bytes(), &document))
	fields := 0
	for path, operations := range document.Paths {
		for method, op := range operations {
			route := strings.ToUpper(method) + " " + path
			good := goodRequest(t, route, op)
			recorder := httptest.NewRecorder()
			b.server(t).Handler().ServeHTTP(recorder, good.build(t))
			require.Less(t, recorder.Code, 300, "%s does not pass as it should: %s", route, recorder.Body)
			for _, field := range document.texts(t, op) {
				fields++
				for _, bad := range badTexts() {
					b.requireRefused(t, route, good, field, bad)
				}
			}
		}
	}
	require.Greater(t, fields, 50, "the description was read")
}

// The dedup header of a trigger is checked too; the OpenAPI document cannot list it.
func TestTextOfDelivery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, bad := range badTexts() {
		in := delivery("gh", `{}`).build(t)
		in.Header.Set("X-GitHub-Delivery", "a"+bad+"b")
		recorder := httptest.NewRecorder()
		b.server(t).Handler().ServeHTTP(recorder, in)
		requireProblem(t, recorder, 422, "invalid")
	}
}

// badTexts returns all control characters, the characters that reorder or break a line, and texts that are not UTF-8.
func badTexts() []string {
	texts := []string{"\u2028", "\u2029", "\u202e", "\u2066", "\xff", "\xc3", "\xed\xa0\x80"}
	for r := range rune(0x20) {
		texts = append(texts, string(r))
	}
	for r := rune(0x7F); r <= 0x9F; r++ {
		texts = append(texts, string(r))
	}
	return texts
}

// requireRefused sends a good request with one field spoiled, in several ways.
func (b *bundle) requireRefused(t *testing.T, route string, good textRequest, field textField, bad string) {
	t.Helper()
	for _, value := range []string{bad, "a" + bad + "b", good.values[field] + bad} {
		for _, escaped := range []bool{false, true} {
			spoiled := good
			spoiled.values = maps.Clone(good.values)
			spoiled.values[field], spoiled.escaped = value, escaped
			recorder := httptest.NewRecorder()
			b.server(t).Handler().ServeHTTP(recorder, spoiled.build(t))
			require.GreaterOrEqual(t, recorder.Code, 400, "%s: %s.%s is %q", route, field.in, field.name, value)
			require.Less(t, recorder.Code, 500, "%s: %s.%s is %q: %s", route, field.in, field.name, value, recorder.Body)
			require.Less(t, recorder.Body.Len(), 1000, "a problem does not repeat the text")
			if field.in != "body" {
				break // only JSON has escapes
			}
		}
	}
}

// secretValue is the field of a secret's value, which may be any text, also one of several lines.
const secretValue = "value"

// packsOfSecret is a list of names that its user checks: see package secrets.
const packsOfSecret = "packs[]"

// policyMembers are documents that package policy checks, and the scopes of documents, which must be those of a queue.
func policyMembers() []string { return []string{"policy", "documents"} }

// textField is one field of an operation that holds text. In a body, the name is its path, with dots, and "[]" after a list.
type textField struct{ in, name string }

// textRequest is a request with the values of its fields.
type textRequest struct {
	method, path string
	values       map[textField]string
	body         map[string]string // JSON values of the body's fields that are not texts
	escaped      bool              // every character of a text in the body is written as an escape
}

// goodValue is a text that the fakes accept for a field that is required.
func goodValue(path, name string) (value string, known bool) {
	switch {
	case name == "scope":
		return "action", true
	case name == "ref" && strings.HasPrefix(path, "/api/v1/rules/"):
		return "github.deploy", true
	case name == "ref", name == "key" && strings.HasPrefix(path, "/api/v1/queues/"):
		return "shop.deploy", true
	case name == "key":
		return "gh", true
	case name == "X-Hub-Signature-256":
		return sign(webhookSecret, `{}`), true
	case name == "name" && strings.HasPrefix(path, "/api/v1/tokens/"):
		return "ci", true
	case name == "name":
		return "TOKEN", true
	default:
		return "7", name == "id"
	}
}

// goodRequest has a value for every field that is required, and for no other.
func goodRequest(t *testing.T, route string, op apiOperation) textRequest {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	in := textRequest{method: method, path: path, values: map[textField]string{}}
	for _, p := range op.Parameters {
		if !p.Required {
			continue
		}
		value, known := goodValue(path, p.Name)
		require.True(t, known, "%s needs %s.%s, and the test knows no value for it", route, p.In, p.Name)
		in.values[textField{p.In, p.Name}] = value
	}
	switch {
	case op.RequestBody == nil:
	case strings.HasSuffix(path, "/events"):
		in.body = map[string]string{"payload": `{}`}
		in.values[textField{"body", "trigger"}] = "github.push"
	case strings.HasSuffix(path, "/tokens"):
		in.body = map[string]string{}
		in.values[textField{"body", "name"}], in.values[textField{"body", "role"}] = "ci", "event"
		in.values[textField{"body", "triggers[]"}] = "github.push"
	case strings.HasSuffix(path, "/policies/try"):
		in.body = map[string]string{"from": `"2030-01-02T12:00:00Z"`, "to": `"2030-01-02T13:00:00Z"`}
		in.values[textField{"body", "queue"}] = "shop.deploy"
	case strings.Contains(path, "/lanes/limit"):
		in.body = map[string]string{}
		if !strings.HasSuffix(path, "/clear") {
			in.body["limit"] = `1`
		}
		in.values[textField{"body", "key"}] = "eu"
	case method == http.MethodPut && strings.HasPrefix(path, "/api/v1/policies/"):
		in.body = map[string]string{"policy": `{"limit":1}`}
	case strings.HasSuffix(path, "/limit"):
		in.body = map[string]string{"limit": `1`}
	default:
		in.body = map[string]string{}
	}
	return in
}

func (r textRequest) build(t *testing.T) *http.Request {
	t.Helper()
	path, query := r.path, url.Values{}
	for field, value := range r.values {
		switch field.in {
		case "path":
			path = strings.ReplaceAll(path, "{"+field.name+"}", url.PathEscape(value))
		case "query":
			query.Set(field.name, value)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	built := request{method: r.method, path: path, body: r.json()}.build(t)
	for field, value := range r.values {
		if field.in == "header" {
			built.Header.Set(field.name, value)
		}
	}
	return built
}

// json writes the body without an encoder: an encoder would replace invalid text.
func (r textRequest) json() string {
	if r.body == nil {
		return ""
	}
	members := []string{}
	for name, value := range r.body {
		members = append(members, strconv.Quote(name)+":"+value)
	}
	for field, value := range r.values {
		if field.in != "body" {
			continue
		}
		text := value
		if r.escaped && utf8.ValidString(value) { // invalid UTF-8 has no escape
			text = ""
			for _, unit := range value {
				text += fmt.Sprintf(`\u%04x`, unit)
			}
		}
		if name, list := strings.CutSuffix(field.name, "[]"); list {
			members = append(members, strconv.Quote(name)+`:["`+text+`"]`)
			continue
		}
		members = append(members, strconv.Quote(field.name)+`:"`+text+`"`)
	}
	return "{" + strings.Join(members, ",") + "}"
}

type (
	apiDocument struct {
		Paths      map[string]map[string]apiOperation
		Components struct{ Schemas map[string]apiSchema }
	}
	apiOperation struct {
		Parameters []struct {
			In, Name string
			Required bool
			Schema   apiSchema
		}
		RequestBody *struct {
			Content map[string]struct{ Schema apiSchema }
		}
	}
	apiSchema struct {
		Ref        string `json:"$ref"`
		Type       any
		Enum       []string
		Properties map[string]apiSchema
		Items      *apiSchema
	}
)

// text reports whether a field holds free text: a string or a list of strings without an enum.
func (s apiSchema) text() bool {
	return fmt.Sprint(s.Type) == "string" && s.Enum == nil || s.Items != nil && s.Items.text()
}

// texts lists the fields of an operation that hold free text. It fails for a body that is not flat, except for lists of texts.
func (d apiDocument) texts(t *testing.T, op apiOperation) []textField {
	t.Helper()
	var fields []textField
	for _, p := range op.Parameters {
		if p.Schema.text() {
			fields = append(fields, textField{p.In, p.Name})
		}
	}
	if op.RequestBody != nil {
		for _, content := range op.RequestBody.Content {
			schema := content.Schema
			if schema.Ref != "" {
				schema = d.Components.Schemas[strings.TrimPrefix(schema.Ref, "#/components/schemas/")]
			}
			for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
				property := schema.Properties[name]
				if slices.Contains(policyMembers(), name) {
					continue
				}
				if property.Items != nil {
					name, property = name+"[]", *property.Items
				}
				require.True(t, property.Ref == "" && property.Properties == nil && property.Items == nil, "%s is no plain field", name)
				if property.text() && name != secretValue && name != packsOfSecret {
					fields = append(fields, textField{"body", name})
				}
			}
		}
	}
	return fields
}

// setupAll is a server on which every operation succeeds.
func setupAll(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	queued := attune.Enforcement{ID: 7, Status: attune.EnforcementQueued, Queue: "shop.deploy", Sequence: 4}
	b.events.get = func(id attune.EventID) (attune.Event, error) {
		return attune.Event{ID: id, Payload: json.RawMessage(`{}`)}, nil
	}
	b.enforcements.get = func(attune.EnforcementID) (attune.Enforcement, error) { return queued, nil }
	b.queues.waits(0, 1, 1)
	b.enforcements.retry = func(attune.EnforcementID, attune.Author) (attune.Enforcement, error) { return queued, nil }
	b.executions.get = func(id attune.ExecutionID) (attune.Execution, error) { return attune.Execution{ID: id}, nil }
	b.executions.cancel = func(id attune.ExecutionID, _ attune.Author) (attune.Execution, error) {
		return attune.Execution{ID: id}, nil
	}
	b.queues.stats = func(key attune.QueueKey) (attune.QueueStats, error) { return attune.QueueStats{Queue: key}, nil }
	b.details.detail = func(attune.QueueKey, int) (attune.QueueDetail, error) { return attune.QueueDetail{}, nil }
	b.policies.always = true
	b.trials.history = func(time.Time, time.Time, int) (replay.History, error) { return oneAfterTheOther(2), nil }
	return b
}
