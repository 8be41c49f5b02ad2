package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"

	"github.com/attune-go/attune/workflows"
)

// forbidden are all control characters, and what breaks or reorders a line.
func forbidden() []rune {
	all := []rune{'\u2028', '\u2029', '\u202e', '\u2066'}
	for r := range rune(0x20) {
		all = append(all, r)
	}
	for r := rune(0x7F); r <= 0x9F; r++ {
		all = append(all, r)
	}
	return all
}

// TestText_OverHTTP sends text that no database keeps, or that would print as something else, in every text field of every
// operation that the running program describes. Each is refused, and the queue goes on as if it had never come.
func TestText_OverHTTP(t *testing.T) {
	t.Parallel()
	s := newSpoiled(t)
	routes := s.described()
	sent := map[string]int{}
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		for _, field := range routes[route] {
			for _, r := range forbidden() {
				s.requireRefused(route, field, r)
				sent[field.in]++
			}
		}
	}
	require.Greater(t, sent["body"], 1000, "the description was read: %v", sent)
	require.Greater(t, sent["path"], 1000, "the description was read: %v", sent)
	require.Greater(t, sent["query"], 1000, "the description was read: %v", sent)
	s.requireUnharmed()
	measured(t, "requests refused, by the place of the text: %v", sent)
}

// TestText_ByTemporalsTools sends such text in updates to a queue, past the API. Each is refused, and the queue goes on.
//
// Short: three characters. Long: all of them.
func TestText_ByTemporalsTools(t *testing.T) {
	t.Parallel()
	s := newSpoiled(t)
	engine, queueID := s.dialTemporal(), workflows.QueueWorkflowID("e2e.step")
	refused, characters := 0, append([]rune{0, 0x1B, 0x202E}, forbidden()...)
	for _, r := range characters[:size(3, len(characters))] {
		text := "a" + string(r) + "b"
		for field, author := range map[string]map[string]any{
			"note":         {"note": text},
			"on_behalf_of": {"on_behalf_of": text},
			"principal":    {"principal": map[string]any{"name": text, "method": "temporal"}},
		} {
			for update, input := range updatesBy(author, s.waiting) {
				id := fmt.Sprintf("%s-%s-%U", update, field, r)
				err := send(t, engine, queueID, update, id, input)
				require.ErrorContains(t, err, field, id)
				refused++
			}
		}
	}
	s.requireUnharmed()
	runs := runsSince(t, engine, queueID, s.first)
	requireShort(t, runs)
	measured(t, "%d updates refused; %d runs of the queue", refused, len(runs))
}

// updatesBy are the updates of a queue, each of which the author could make.
func updatesBy(author map[string]any, enforcement int64) map[string]any {
	with := func(fields map[string]any) map[string]any {
		maps.Copy(fields, author)
		return fields
	}
	batched := map[string]any{
		"id": "of a batch", "kind": "mode", "mode": "open", "principal": map[string]any{"name": "ada", "method": "temporal"},
	}
	return map[string]any{
		workflows.UpdateResume: with(map[string]any{}), workflows.UpdateDrain: with(map[string]any{}),
		workflows.UpdatePause:    with(map[string]any{}),
		workflows.UpdateSetLimit: with(map[string]any{"limit": 3}), workflows.UpdateClearLimit: with(map[string]any{}),
		workflows.UpdateCancel: with(map[string]any{"enforcement": enforcement, "sequence": 1}),
		workflows.UpdateChange: map[string]any{"changes": []any{with(batched)}},
	}
}

func send(t *testing.T, engine temporal.Client, workflowID, update, id string, input any) error {
	t.Helper()
	handle, err := engine.UpdateWorkflow(t.Context(), temporal.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateName: update, UpdateID: id, Args: []any{input},
		WaitForStage: temporal.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return err
	}
	return handle.Get(t.Context(), nil)
}

// spoiled is a cluster with one queue, paused, in which one ticket waits.
type spoiled struct {
	*cluster
	waiting int64  // the enforcement
	first   string // the run of the queue's workflow
}

func newSpoiled(t *testing.T) *spoiled {
	t.Helper()
	c := newCluster(t, map[string]string{
		"actions/step.yaml": stepAction(1), "triggers/push.yaml": "description: a push\n",
		"rules/on.yaml": "description: every push\ntrigger: e2e.push\naction: e2e.step\n",
	})
	c.start()
	c.control("e2e.step", "pause")
	s := &spoiled{cluster: c, waiting: int64(c.run("e2e.step", map[string]any{"n": 1}))}
	c.eventually("one waits", func() bool { return c.stats("e2e.step").QueueLength == 1 })
	s.first = newestRun(t, c.dialTemporal(), workflows.QueueWorkflowID("e2e.step"))
	return s
}

// requireUnharmed requires that nothing but the pause has happened, that the queue still makes and records changes, and that
// it runs what waits.
func (s *spoiled) requireUnharmed() {
	s.t.Helper()
	require.Len(s.t, s.changesOf("e2e.step"), 1, "only the pause is recorded")
	require.EqualValues(s.t, 1, s.stats("e2e.step").QueueLength)
	s.control("e2e.step", "resume")
	s.finish("e2e.step", 1, 1)
	changes := s.changesOf("e2e.step")
	require.Len(s.t, changes, 2)
	require.Equal(s.t, "ada", changes[0].OnBehalfOf)
	s.requirePromises()
	code, output := s.attune("doctor", "--url", s.base)
	require.Zero(s.t, code, output)
	status, answer := s.api(http.MethodGet, "rules/e2e.on/changes", "")
	require.Equal(s.t, http.StatusOK, status, answer)
	require.Contains(s.t, answer, `"items":[]`)
}

// place is one text field of an operation.
type place struct{ in, name string }

// described reads the text fields of all operations from the program's own description. A body is flat.
func (s *spoiled) described() map[string][]place {
	s.t.Helper()
	type field struct {
		Type any
		Enum []string
	}
	type body struct {
		Ref        string `json:"$ref"`
		Properties map[string]field
	}
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				In, Name string
				Schema   field
			}
			RequestBody struct {
				Content map[string]struct{ Schema body }
			}
		}
		Components struct{ Schemas map[string]body }
	}
	require.NoError(s.t, s.Get(s.t.Context(), "/openapi.json", nil, &document))
	text := func(f field) bool { return fmt.Sprint(f.Type) == "string" && f.Enum == nil }
	routes := map[string][]place{}
	for path, operations := range document.Paths {
		for method, op := range operations {
			route := strings.ToUpper(method) + " " + path
			for _, p := range op.Parameters {
				if text(p.Schema) && p.In != "header" { // the library refuses to send such headers
					routes[route] = append(routes[route], place{p.In, p.Name})
				}
			}
			for _, content := range op.RequestBody.Content {
				schema := content.Schema
				if schema.Ref != "" {
					schema = document.Components.Schemas[strings.TrimPrefix(schema.Ref, "#/components/schemas/")]
				}
				for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
					anyText := name == "value" || name == "key" && strings.Contains(path, "/lanes/") // of a secret, and of a lane
					if text(schema.Properties[name]) && !anyText {
						routes[route] = append(routes[route], place{"body", name})
					}
				}
			}
		}
	}
	return routes
}

// requireRefused sends a request that is right but for one character in one of its fields.
func (s *spoiled) requireRefused(route string, field place, r rune) {
	s.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	values, query := map[string]string{"id": fmt.Sprint(s.waiting), "key": "e2e.step", "scope": "action", "ref": "e2e.step", "name": "TOKEN"}, url.Values{}
	if strings.HasPrefix(path, "/api/v1/tokens/") {
		values["name"] = "ci"
	}
	if strings.HasPrefix(path, "/api/v1/rules/") {
		values["ref"] = "e2e.on"
	}
	switch field.in {
	case "path":
		values[field.name] += string(r)
	case "query":
		query.Set(field.name, "a"+string(r))
	}
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(value))
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	header := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	status, answer := s.http(method, path, header, bodyOf(method, path, field, fmt.Sprintf(`a\u%04xb`, r)))
	what := fmt.Sprintf("%s with %U in %s.%s: %d %s", route, r, field.in, field.name, status, answer)
	if field.in == "body" {
		require.Contains(s.t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, status, what)
		require.Regexp(s.t, field.name+"|reference", answer, "refused for this field: "+what)
		return
	}
	require.GreaterOrEqual(s.t, status, 400, what)
	require.Less(s.t, status, 500, what)
}

// bodyOf is a body that would be right without the text.
func bodyOf(method, path string, field place, text string) string {
	members := map[string]string{}
	switch {
	case strings.HasSuffix(path, "/events"):
		members = map[string]string{"trigger": `"e2e.push"`, "payload": `{}`}
	case strings.HasSuffix(path, "/policies/try"):
		members = map[string]string{"from": `"2026-01-01T00:00:00Z"`, "to": `"2026-01-02T00:00:00Z"`}
	case strings.Contains(path, "/policies/") && method != http.MethodDelete:
		members = map[string]string{"policy": `{"limit":3}`}
	case strings.HasSuffix(path, "/lanes/limit/clear"):
		members = map[string]string{"key": `"eu"`}
	case strings.HasSuffix(path, "/lanes/limit"):
		members = map[string]string{"key": `"eu"`, "limit": `3`}
	case strings.HasSuffix(path, "/limit"):
		members = map[string]string{"limit": `3`}
	case strings.HasSuffix(path, "/tokens"):
		members = map[string]string{"name": `"ci"`, "role": `"viewer"`}
	}
	if field.in == "body" {
		members[field.name] = `"` + text + `"`
	}
	var written []string
	for name, value := range members {
		written = append(written, fmt.Sprintf("%q:%s", name, value))
	}
	return "{" + strings.Join(written, ",") + "}"
}
