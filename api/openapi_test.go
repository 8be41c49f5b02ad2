package api_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/policy"
)

// routes returns every route of the API, and whether the route needs the token.
func routes() map[string]bool {
	return map[string]bool{
		"GET /livez":                            false,
		"GET /readyz":                           false,
		"GET /metrics":                          false,
		"POST /api/v1/webhooks/{key}":           false,
		"GET /api/v1/whoami":                    true,
		"POST /api/v1/tokens":                   true,
		"GET /api/v1/tokens":                    true,
		"POST /api/v1/tokens/{name}/rotate":     true,
		"POST /api/v1/tokens/{name}/revoke":     true,
		"GET /api/v1/audit":                     true,
		"GET /api/v1/doctor":                    true,
		"POST /api/v1/events":                   true,
		"GET /api/v1/events":                    true,
		"GET /api/v1/events/{id}":               true,
		"GET /api/v1/enforcements":              true,
		"GET /api/v1/enforcements/{id}":         true,
		"GET /api/v1/executions":                true,
		"GET /api/v1/executions/{id}":           true,
		"POST /api/v1/executions/{id}/cancel":   true,
		"GET /api/v1/queues":                    true,
		"GET /api/v1/queues/{key}":              true,
		"POST /api/v1/queues/{key}/pause":       true,
		"POST /api/v1/queues/{key}/resume":      true,
		"POST /api/v1/queues/{key}/drain":       true,
		"PUT /api/v1/queues/{key}/limit":        true,
		"POST /api/v1/queues/{key}/limit/clear": true,
		"POST /api/v1/enforcements/{id}/cancel": true,
		"POST /api/v1/enforcements/{id}/retry":  true,
		"GET /api/v1/queues/{key}/grants":       true,
		"GET /api/v1/policies":                  true,
		"GET /api/v1/policies/global":           true,
		"GET /api/v1/policies/{scope}/{ref}":    true,
		"PUT /api/v1/policies/global":           true,
		"PUT /api/v1/policies/{scope}/{ref}":    true,
		"PATCH /api/v1/policies/global":         true,
		"PATCH /api/v1/policies/{scope}/{ref}":  true,
		"DELETE /api/v1/policies/global":        true,
		"DELETE /api/v1/policies/{scope}/{ref}": true,
		"GET /api/v1/queues/{key}/lanes":        true,
		"GET /api/v1/queues/{key}/changes":      true,
		"GET /api/v1/queues/{key}/policies":     true,
		"GET /api/v1/queues/{key}/starts":       true,
		"GET /api/v1/limiters":                  true,
		"GET /api/v1/limiters/log":              true,
		"GET /api/v1/limiters/{id}/log":         true,
		"GET /api/v1/quotas":                    true,
		"POST /api/v1/policies/try":             true,
		"GET /api/v1/actions":                   true,
		"POST /api/v1/actions/{ref}/policy":     true,
		"GET /api/v1/actions/{ref}":             true,
		"POST /api/v1/actions/{ref}/run":        true,
		"GET /api/v1/actions/{ref}/queue-stats": true,
		"GET /api/v1/rules":                     true,
		"GET /api/v1/rules/{ref}":               true,
		"GET /api/v1/rules/{ref}/changes":       true,
		"POST /api/v1/rules/{ref}/enable":       true,
		"POST /api/v1/rules/{ref}/disable":      true,
		"GET /api/v1/secrets":                   true,
		"PUT /api/v1/secrets/{name}":            true,
		"DELETE /api/v1/secrets/{name}":         true,
		"POST /api/v1/secrets/rotate-key":       true,

		"PUT /api/v1/queues/{key}/lanes/limit":        true,
		"POST /api/v1/queues/{key}/lanes/limit/clear": true,
	}
}

type openAPI struct {
	OpenAPI string `json:"openapi"`
	Info    struct{ Title, Version string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Summary     string
		Security    []map[string][]string
		Parameters  []struct {
			Name   string
			Schema struct{ Enum []string }
		}
		Responses map[string]struct {
			Content map[string]struct {
				Schema struct {
					Ref string `json:"$ref"`
				}
			}
		}
	}
	Components struct {
		Schemas         map[string]json.RawMessage
		SecuritySchemes map[string]struct{ Type, Scheme string }
	}
}

func description(t *testing.T) openAPI {
	t.Helper()
	recorder := setup(t).do(t, get("/api/v1/openapi.json"))
	require.Equal(t, http.StatusOK, recorder.Code)
	require.Equal(t, "application/openapi+json", recorder.Header().Get("Content-Type"))
	var found openAPI
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &found))
	return found
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()

	found := description(t)
	require.Equal(t, "3.1.0", found.OpenAPI)
	require.Equal(t, "attune", found.Info.Title)
	require.Equal(t, "1.2.3", found.Info.Version)
	require.Equal(t, "bearer", found.Components.SecuritySchemes["token"].Scheme)

	var listed []string
	ids := map[string]bool{}
	for path, operations := range found.Paths {
		for method, op := range operations {
			route := strings.ToUpper(method) + " " + path
			listed = append(listed, route)
			require.NotEmpty(t, op.Summary, route)
			require.False(t, ids[op.OperationID], "%s has the id of another operation", route)
			ids[op.OperationID] = true
			require.Equal(t, routes()[route], len(op.Security) == 1, route)
			if len(op.Security) == 1 {
				require.Contains(t, op.Responses, "400", "%s: a header can be sent twice", route)
			}
			for status, response := range op.Responses {
				if status[0] != '2' {
					ref := response.Content["application/problem+json"].Schema.Ref
					require.Equal(t, "#/components/schemas/Problem", ref, "%s %s", route, status)
				}
			}
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(routes())), listed)
	require.NotContains(t, found.Components.Schemas, "ErrorModel", "the framework's errors never leave the server")

	recorder := setup(t).do(t, get("/api/v1/openapi.yaml"))
	require.Equal(t, "application/openapi+yaml", recorder.Header().Get("Content-Type"))
	var asYAML struct{ Paths map[string]any }
	require.NoError(t, yaml.Unmarshal(recorder.Body.Bytes(), &asYAML))
	require.Len(t, asYAML.Paths, len(found.Paths))
}

// Every reference inside the document has a target.
func TestOpenAPIReferences(t *testing.T) {
	t.Parallel()

	text := setup(t).do(t, get("/api/v1/openapi.json")).Body.String()
	schemas := description(t).Components.Schemas
	for part := range strings.SplitSeq(text, `"$ref":"#/components/schemas/`) {
		if name, _, found := strings.Cut(part, `"`); found && !strings.HasPrefix(part, "{") {
			require.Contains(t, schemas, name)
		}
	}
}

// Every route that the document lists exists, and needs the token unless the document says otherwise.
func TestOpenAPIRoutesExist(t *testing.T) {
	t.Parallel()

	b := setup(t)
	for route, closed := range routes() {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", "1", "{key}", "gh", "{ref}", "a.b", "{name}", "CI", "{scope}", "action").Replace(path)
		recorder := b.do(t, request{method, path, "", []string{"Authorization:"}})
		if closed {
			requireProblem(t, recorder, 401, "unauthorized")
			continue
		}
		require.NotEqual(t, http.StatusNotFound, recorder.Code, route)
		require.NotEqual(t, http.StatusMethodNotAllowed, recorder.Code, route)
	}
}

// The document describes every field of a policy.
func TestOpenAPIDescribesEveryFieldOfAPolicy(t *testing.T) {
	t.Parallel()

	type property struct {
		Type             any // a list for a nullable member of a structure
		Description      string
		Enum             []string
		Minimum, Maximum *int
		Properties       map[string]property
	}
	described := func(schema string) property {
		var found struct {
			Properties struct{ Policy property }
		}
		require.NoError(t, json.Unmarshal(description(t).Components.Schemas[schema], &found))
		return found.Properties.Policy
	}
	declared, inForce := described("Action"), described("Queue")
	require.Len(t, declared.Properties, len(policy.Fields())+2)
	require.Contains(t, declared.Properties, "rate")
	require.Contains(t, declared.Properties, "quota")
	require.Len(t, inForce.Properties, len(policy.Fields())+1)
	require.Contains(t, inForce.Properties, "revision")
	for _, field := range policy.Fields() {
		value := declared.Properties[field.Name]
		require.Contains(t, value.Description, field.Doc)
		require.Equal(t, field.Choices, value.Enum, field.Name)
		require.Equal(t, field.Bounds.Least, value.Minimum, field.Name)
		require.Equal(t, field.Bounds.Most, value.Maximum, field.Name)
		shown := inForce.Properties[field.Name]
		require.Equal(t, value.Type, shown.Properties["value"].Type, field.Name)
		require.Equal(t, value.Type, shown.Properties["next"].Type, field.Name)
		require.Equal(t, "string", shown.Properties["from"].Type, field.Name)
	}
}

// The document's enums have exactly the values of the domain's constants.
func TestOpenAPIEnumsAreComplete(t *testing.T) {
	t.Parallel()

	enums := map[string][]string{}
	for path, operations := range description(t).Paths {
		for _, parameter := range operations["get"].Parameters {
			enums[path+"?"+parameter.Name] = parameter.Schema.Enum
		}
	}
	require.ElementsMatch(t, constants(t, "../enforcement.go", "Reason"), enums["/api/v1/enforcements?reason"])
	require.ElementsMatch(t, constants(t, "../enforcement.go", "EnforcementStatus"), enums["/api/v1/enforcements?status"])
	require.ElementsMatch(t, constants(t, "../execution.go", "ExecutionStatus"), enums["/api/v1/executions?status"])
	require.ElementsMatch(t, constants(t, "../event.go", "Source"), enums["/api/v1/events?source"])
}

// constants returns the values of all constants of a type, from its source.
func constants(t *testing.T, file, typeName string) []string {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	var values []string
	ast.Inspect(syntax, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				require.NoError(t, err)
				values = append(values, text)
			}
		}
		return true
	})
	require.NotEmpty(t, values)
	return values
}
