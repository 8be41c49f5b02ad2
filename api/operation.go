package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// response is the response of an operation. Location is the path of the created resource; empty when none was created.
type response[T any] struct {
	Location string `header:"Location" doc:"Path of the created resource"`
	Body     T
}

// register adds an operation under /api/v1. Every operation needs a token and a right, has the limits of the server, and
// translates errors by [Server.problem].
func register[I, O any](s *Server, right auth.Right, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Path = strings.TrimSuffix(apiPrefix, "/") + op.Path
	s.router.access[op.Method+" "+op.Path] = access{right: right, action: actionOf(right, op)}
	op.Extensions = map[string]any{rolesExtension: right.Roles()}
	op.Errors = append(op.Errors,
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusServiceUnavailable)
	if op.Method != http.MethodGet { // it has a body
		op.Errors = append(op.Errors, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	slices.Sort(op.Errors)
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1 // the body is in memory: see bufferBody
	op.Security = []map[string][]string{{securityScheme: {}}}
	huma.Register(s.huma, op, func(ctx context.Context, input *I) (*O, error) {
		output, err := handle(ctx, input)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return output, nil
	})
}

const (
	securityScheme = "token"
	rolesExtension = "x-roles" // in the description of an operation: the roles that may use it
)

func (s *Server) humaConfig() huma.Config {
	config := huma.DefaultConfig("attune", s.config.Version)
	config.Info.Description = "attune runs actions in response to events, in strict order per queue, under policy."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		securityScheme: {Type: "http", Scheme: "bearer", Description: "A token of attune, or a JSON web token of the configured issuer."},
	}
	// The framework's own pages are off: its documentation page loads scripts from the network, and it builds the OpenAPI
	// document without a lock.
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	config.Formats = jsonFormats()
	config.Transformers = []huma.Transformer{s.transform}
	return config
}

// registerDescription serves the OpenAPI document. The first request builds it, because building it takes longer than
// everything else in [New].
func (s *Server) registerDescription() {
	asJSON := sync.OnceValues(func() ([]byte, error) { return json.Marshal(s.huma.OpenAPI()) })
	asYAML := sync.OnceValues(s.huma.OpenAPI().YAML)
	s.router.handle(auth.RightRead, "GET "+apiPrefix+"openapi.json", s.document("application/openapi+json", asJSON))
	s.router.handle(auth.RightRead, "GET "+apiPrefix+"openapi.yaml", s.document("application/openapi+yaml", asYAML))
}

func (s *Server) document(contentType string, build func() ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := build()
		if err != nil {
			s.problem(r.Context(), fmt.Errorf("describe the API: %w", err)).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	}
}

// describe adds a route that the framework does not serve to the OpenAPI document.
func (s *Server) describe(op huma.Operation, success int, body any, problems ...int) {
	registry := s.huma.OpenAPI().Components.Schemas
	op.Responses = map[string]*huma.Response{strconv.Itoa(success): {
		Description: http.StatusText(success),
		Content:     map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(reflect.TypeOf(body), true, "")}},
	}}
	for _, status := range problems {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: registry.Schema(reflect.TypeFor[Problem](), true, "")},
			},
		}
	}
	s.huma.OpenAPI().AddOperation(&op)
}

// RefPath is a path with the reference of an action or rule. It is exported because the framework reads only exported fields.
type RefPath struct {
	Ref attune.Ref `path:"ref" doc:"Reference in the form pack.name"`
}

// check returns an [attune.CodeNotFound] error for a text that is not a reference: nothing can have that name.
func (in RefPath) check() error {
	if err := in.Ref.Validate(); err != nil {
		return attune.Errorf(attune.CodeNotFound, "%s", err)
	}
	return nil
}

// idInput is a path with the id of an event, enforcement or execution.
type idInput struct {
	ID int64 `path:"id" minimum:"1"`
}

// checkQueue refuses a filter that is not a valid queue key. An empty key does not filter.
func checkQueue(key attune.QueueKey) error {
	if key == "" {
		return nil
	}
	if err := key.Validate(); err != nil {
		return attune.Errorf(attune.CodeInvalid, "query.queue: %s", err)
	}
	return nil
}

// checkRefs refuses filters that are not valid references. An empty reference does not filter. The map's keys are locations.
func checkRefs(refs map[string]attune.Ref) error {
	for _, location := range slices.Sorted(maps.Keys(refs)) {
		if ref := refs[location]; ref != "" {
			if err := ref.Validate(); err != nil {
				return attune.Errorf(attune.CodeInvalid, "%s: %s", location, err)
			}
		}
	}
	return nil
}
