package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// describeDomain gives the domain's types their schemas in the OpenAPI document: types with a closed set of values become
// enums. A query parameter with such a type refuses other values and names the allowed ones.
func describeDomain(registry huma.Registry) {
	alias[attune.EnforcementStatus, enforcementStatus](registry)
	alias[attune.ExecutionStatus, executionStatus](registry)
	alias[attune.Reason, reason](registry)
	alias[attune.Source, source](registry)
	alias[attune.AuthMethod, authMethod](registry)
	alias[attune.RuleSwitch, ruleSwitch](registry)
	alias[auth.Role, role](registry)
	alias[attune.Policy, policyDocument](registry)
	alias[huma.ErrorModel, Problem](registry) // every error response is a Problem
}

func alias[T, As any](registry huma.Registry) {
	registry.RegisterTypeAlias(reflect.TypeFor[T](), reflect.TypeFor[As]())
}

type (
	enforcementStatus string
	executionStatus   string
	reason            string
	source            string
	authMethod        string
	ruleSwitch        string
	role              string
)

// Schema implements [huma.SchemaProvider].
func (enforcementStatus) Schema(huma.Registry) *huma.Schema {
	return enum(attune.EnforcementStatuses()...)
}

// Schema implements [huma.SchemaProvider].
func (executionStatus) Schema(huma.Registry) *huma.Schema { return enum(attune.ExecutionStatuses()...) }

// Schema implements [huma.SchemaProvider].
func (reason) Schema(huma.Registry) *huma.Schema { return enum(attune.Reasons()...) }

// Schema implements [huma.SchemaProvider].
func (source) Schema(huma.Registry) *huma.Schema {
	return enum(attune.SourceAPI, attune.SourceWebhook, attune.SourceTimer, attune.SourceManual)
}

// Schema implements [huma.SchemaProvider].
func (authMethod) Schema(huma.Registry) *huma.Schema { return enum(attune.AuthMethods()...) }

// Schema implements [huma.SchemaProvider].
func (ruleSwitch) Schema(huma.Registry) *huma.Schema {
	return enum(attune.RuleEnabled, attune.RuleDisabled)
}

// Schema implements [huma.SchemaProvider].
func (role) Schema(huma.Registry) *huma.Schema { return enum(auth.Roles()...) }

func enum[T ~string](values ...T) *huma.Schema {
	schema := &huma.Schema{Type: huma.TypeString}
	for _, value := range values {
		schema.Enum = append(schema.Enum, string(value))
	}
	return schema
}
