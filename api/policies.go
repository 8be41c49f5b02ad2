package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/policy"
)

// Policies reads the policy documents of all scopes, and changes those of people. A reference that names nothing is an
// [attune.CodeNotFound] error.
type Policies interface {
	// List returns a page of the documents in force, newest first.
	List(ctx context.Context, page attune.Page) ([]policy.Stored, error)
	Documents(ctx context.Context, scope policy.Scope, ref string) (policy.Documents, error)
	// Change returns the documents of the scope after the change.
	Change(ctx context.Context, change policy.Change) (policy.Documents, error)
	// KeyUses returns the actions whose key a document of the scope can set.
	KeyUses(ctx context.Context, scope policy.Scope, ref string) ([]policy.KeyUse, error)
}

// Announcer tells the queues that a changed document covers their new policies, and counts them. It waits for a moment only; the
// other queues follow without it.
type Announcer interface {
	Announce(ctx context.Context, scope policy.Scope, ref string) (policy.Reach, error)
}

// PolicyScope is the documents of one scope.
type PolicyScope struct {
	Scope policy.Scope `json:"scope" enum:"action,queue,pack,global"`
	Ref   string       `json:"ref,omitempty" doc:"Reference of the action, queue or pack; absent for the global scope"`
	policy.Documents
}

// ChangedPolicy is a scope after a change. A change with an unknown reach is made, too.
type ChangedPolicy struct {
	PolicyScope
	*policy.Reach // nil: unknown
}

// PolicyPath is a path with a scope and the reference of what the scope is. It is exported because the framework reads only exported
// fields.
type PolicyPath struct {
	Scope policy.Scope `path:"scope" enum:"action,queue,pack"`
	Ref   string       `path:"ref" doc:"Reference of the action, key of the queue, or name of the pack"`
}

// PolicyBody is the body of PUT /api/v1/policies/….
type PolicyBody struct {
	Attribution
	Policy PolicyDocument `json:"policy" doc:"The whole document; it replaces the document that a person set before"`
	Until  *time.Time     `json:"until,omitempty" doc:"When the document ends; without it, it stays until it is changed or removed"`
}

// PolicyPatch is the body of PATCH /api/v1/policies/….
type PolicyPatch struct {
	Attribution
	Policy PolicyChanges `json:"policy,omitzero" doc:"A JSON merge patch (RFC 7396) of the document: null removes a field"`
	Until  PatchedTime   `json:"until,omitzero" doc:"When the document ends; null removes the end; without it, the end stays"`
}

type policyInput[B any] struct {
	PolicyPath
	Conditions
	Body B
}

type globalPolicyInput[B any] struct {
	Conditions
	Body B
}

type policyResponse[T any] struct {
	ETag string `header:"ETag" doc:"Version of both documents, for If-Match"`
	Body T
}

func (s *Server) registerPolicies() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-policies", Method: http.MethodGet, Path: "/policies", Tags: []string{"policies"},
		Summary: "List the policy documents of packs and people, newest first",
	}, s.listPolicies)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-policy", Method: http.MethodGet, Path: "/policies/{scope}/{ref}", Tags: []string{"policies"},
		Summary: "Read the policy documents of one scope", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *PolicyPath) (*policyResponse[PolicyScope], error) {
		return s.getPolicy(ctx, *in)
	})
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-global-policy", Method: http.MethodGet, Path: "/policies/global", Tags: []string{"policies"},
		Summary: "Read the policy document of the whole installation",
	}, func(ctx context.Context, _ *struct{}) (*policyResponse[PolicyScope], error) {
		return s.getPolicy(ctx, everything())
	})
	registerPolicyChange(s, http.MethodPut, "set", "Set the policy document of a person, in the place of an earlier one", s.setPolicy)
	registerPolicyChange(s, http.MethodPatch, "change", "Change fields of the policy document of a person", s.patchPolicy)
	registerPolicyChange(s, http.MethodDelete, "remove", "Remove the policy document of a person", s.removePolicy)
}

// registerPolicyChange registers a change for a scope with a reference, and for the global scope.
func registerPolicyChange[B any](
	s *Server, method, verb, summary string,
	change func(context.Context, PolicyPath, Conditions, B) (*policyResponse[ChangedPolicy], error),
) {
	errors := []int{http.StatusNotFound, http.StatusPreconditionFailed}
	register(s, auth.RightOperate, huma.Operation{
		OperationID: verb + "-policy", Method: method, Path: "/policies/{scope}/{ref}", Tags: []string{"policies"},
		Summary: summary, Errors: errors,
	}, func(ctx context.Context, in *policyInput[B]) (*policyResponse[ChangedPolicy], error) {
		return change(ctx, in.PolicyPath, in.Conditions, in.Body)
	})
	register(s, auth.RightOperate, huma.Operation{
		OperationID: verb + "-global-policy", Method: method, Path: "/policies/global", Tags: []string{"policies"},
		Summary: summary + ": of the whole installation", Errors: errors,
	}, func(ctx context.Context, in *globalPolicyInput[B]) (*policyResponse[ChangedPolicy], error) {
		return change(ctx, everything(), in.Conditions, in.Body)
	})
}

// everything is the path of the global scope.
func everything() PolicyPath { return PolicyPath{Scope: policy.ScopeGlobal} }

func (s *Server) listPolicies(ctx context.Context, in *Paging) (*response[List[policy.Stored]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Policies.List(ctx, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(d policy.Stored) int64 { return d.ID }, identity[policy.Stored]), nil
}

func (s *Server) getPolicy(ctx context.Context, in PolicyPath) (*policyResponse[PolicyScope], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	found, err := s.deps.Policies.Documents(ctx, in.Scope, in.Ref)
	return &policyResponse[PolicyScope]{ETag: etagOf(found), Body: PolicyScope{Scope: in.Scope, Ref: in.Ref, Documents: found}}, err
}

// check returns an [attune.CodeNotFound] error for a text that is no reference of the scope: nothing can have that name.
func (in PolicyPath) check() error {
	var err error
	switch in.Scope {
	case policy.ScopeAction:
		err = attune.Ref(in.Ref).Validate()
	case policy.ScopeQueue:
		err = attune.QueueKey(in.Ref).Validate()
	case policy.ScopePack:
		err = attune.ValidateName("pack", in.Ref)
	default: // the global scope has no reference, and the schema of the path refuses other scopes
	}
	if err != nil {
		return attune.Errorf(attune.CodeNotFound, "%s", err)
	}
	return nil
}

func (s *Server) setPolicy(
	ctx context.Context, in PolicyPath, conditions Conditions, body PolicyBody,
) (*policyResponse[ChangedPolicy], error) {
	document, err := policy.Decode(body.Policy.RawMessage)
	if err != nil {
		return nil, err
	}
	if policy.Empty(document) {
		return nil, invalidProblem([]ProblemError{{Location: "body.policy", Message: "set a field; DELETE removes a document"}})
	}
	uses, err := s.usesOf(ctx, in, body.Policy.RawMessage)
	if err != nil {
		return nil, err
	}
	return s.changePolicy(ctx, in, conditions, &body.Attribution, func(_ policy.Documents, now time.Time) (*policy.Draft, error) {
		return s.draft(in, document, body.Until, now, uses)
	})
}

func (s *Server) patchPolicy(
	ctx context.Context, in PolicyPath, conditions Conditions, body PolicyPatch,
) (*policyResponse[ChangedPolicy], error) {
	patch := body.Policy.RawMessage
	if patch == nil {
		patch = json.RawMessage("{}")
	}
	uses, err := s.usesOf(ctx, in, patch)
	if err != nil {
		return nil, err
	}
	return s.changePolicy(ctx, in, conditions, &body.Attribution, func(found policy.Documents, now time.Time) (*policy.Draft, error) {
		var before policy.Stored
		if found.Person != nil {
			before = *found.Person
		}
		document, err := policy.Merge(before.Policy, patch)
		if err != nil {
			return nil, err
		}
		if policy.Empty(document) {
			return nil, requirePerson(found, in) // a document without fields ends
		}
		until := before.Until
		if body.Until.Given {
			until = body.Until.At
		}
		return s.draft(in, document, until, now, uses)
	})
}

func (s *Server) removePolicy(
	ctx context.Context, in PolicyPath, conditions Conditions, body *Attribution,
) (*policyResponse[ChangedPolicy], error) {
	return s.changePolicy(ctx, in, conditions, body, func(found policy.Documents, _ time.Time) (*policy.Draft, error) {
		return nil, requirePerson(found, in)
	})
}

// requirePerson returns an [attune.CodeNotFound] error when no person has set a document.
func requirePerson(found policy.Documents, in PolicyPath) error {
	if found.Person != nil {
		return nil
	}
	return attune.Errorf(attune.CodeNotFound, "no person has set a policy for %s", strings.TrimSpace(string(in.Scope)+" "+in.Ref))
}

// changePolicy changes the document of a person under the conditions of the request, and tells the queues.
func (s *Server) changePolicy(
	ctx context.Context, in PolicyPath, conditions Conditions, attribution *Attribution,
	decide func(policy.Documents, time.Time) (*policy.Draft, error),
) (*policyResponse[ChangedPolicy], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	author, err := attribution.author(ctx)
	if err != nil {
		return nil, err
	}
	after, err := s.deps.Policies.Change(ctx, policy.Change{
		Scope: in.Scope, Ref: in.Ref, Author: author, Decide: func(found policy.Documents, now time.Time) (*policy.Draft, error) {
			if err := conditions.check(found); err != nil {
				return nil, err
			}
			return decide(found, now)
		},
	})
	if err != nil {
		return nil, err
	}
	return &policyResponse[ChangedPolicy]{ETag: etagOf(after), Body: ChangedPolicy{
		PolicyScope: PolicyScope{Scope: in.Scope, Ref: in.Ref, Documents: after}, Reach: s.announce(ctx, in, after, author),
	}}, nil
}

// announce tells the queues of a change that is made, and returns its reach; nil if it cannot be counted. A bridge tells the queues then.
func (s *Server) announce(ctx context.Context, in PolicyPath, after policy.Documents, author attune.Author) *policy.Reach {
	reach, err := s.deps.Announcer.Announce(ctx, in.Scope, in.Ref)
	log := s.logger.With("scope", in.Scope, "ref", in.Ref, "removed", after.Person == nil, "author", author.Who(), "note", author.Note,
		"request_id", requestInfoOf(ctx).id)
	if err != nil {
		log.WarnContext(ctx, "a policy was changed, and the queues that follow could not be counted", "error", err)
		return nil
	}
	log.InfoContext(ctx, "a policy was changed", "told", reach.Told, "not_told", reach.NotTold)
	return &reach
}
