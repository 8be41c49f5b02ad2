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
)

// answer is a body; location, when set, says where what was made can be read.
type answer[T any] struct {
	Location string `header:"Location" doc:"Where to read what was made"`
	Body     T
}

// register adds an operation under /api/v1 with what all of them have in common: the token, the limits, and one
// translation of errors.
func register[I, O any](s *Server, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Path = strings.TrimSuffix(apiPrefix, "/") + op.Path
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusServiceUnavailable)
	slices.Sort(op.Errors)
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1 // the body is in memory: see takeBody
	op.Security = []map[string][]string{{securityScheme: {}}}
	huma.Register(s.huma, op, func(ctx context.Context, input *I) (*O, error) {
		output, err := handle(ctx, input)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return output, nil
	})
}

const securityScheme = "token"

func (s *Server) humaConfig() huma.Config {
	config := huma.DefaultConfig("attune", s.config.Version)
	config.Info.Description = "Runs actions in response to events, in order, under policy."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		securityScheme: {Type: "http", Scheme: "bearer", Description: "The API token (ATTUNE_API_TOKEN)."},
	}
	// The framework's own pages are off: its documentation loads scripts from the network, and it builds its description
	// without a lock.
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	config.Formats = jsonFormats()
	config.Transformers = []huma.Transformer{s.transform}
	return config
}

// registerDescription serves the OpenAPI document. The first request builds the document, once: that takes longer than all
// the other work of making a server.
func (s *Server) registerDescription() {
	asJSON := sync.OnceValues(func() ([]byte, error) { return json.Marshal(s.huma.OpenAPI()) })
	asYAML := sync.OnceValues(s.huma.OpenAPI().YAML)
	s.router.HandleFunc("GET "+apiPrefix+"openapi.json", s.document("application/openapi+json", asJSON))
	s.router.HandleFunc("GET "+apiPrefix+"openapi.yaml", s.document("application/openapi+yaml", asYAML))
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

// describe adds a route that stands beside the framework to the API description.
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

// RefPath is a path with the reference of an action or rule. It is exported for the same reason as [Paging].
type RefPath struct {
	Ref attune.Ref `path:"ref" doc:"pack.name"`
}

// check refuses what can name nothing: it is not there, and the detail says why.
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

// checkQueue refuses a filter that cannot be a queue's key. An empty one does not filter.
func checkQueue(key attune.QueueKey) error {
	if key == "" {
		return nil
	}
	if err := key.Validate(); err != nil {
		return attune.Errorf(attune.CodeInvalid, "query.queue: %s", err)
	}
	return nil
}

// checkRefs refuses filters that cannot be references. Empty ones do not filter.
func checkRefs(refs map[string]attune.Ref) error {
	for _, where := range slices.Sorted(maps.Keys(refs)) {
		if ref := refs[where]; ref != "" {
			if err := ref.Validate(); err != nil {
				return attune.Errorf(attune.CodeInvalid, "%s: %s", where, err)
			}
		}
	}
	return nil
}
