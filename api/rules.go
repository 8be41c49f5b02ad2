package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Rules reads rules, and enables or disables them. A rule that does not exist is an [attune.CodeNotFound] error; lists are
// newest first. Enabling a rule that its pack no longer declares is an [attune.CodeConflict] error.
type Rules interface {
	Rule(ctx context.Context, ref attune.Ref) (attune.Rule, error)
	Rules(ctx context.Context, page attune.Page) ([]attune.Rule, error)
	// SetRuleEnabled enables or disables a rule and records the change. It records nothing if the rule already has that state.
	SetRuleEnabled(ctx context.Context, ref attune.Ref, enabled bool, author attune.Author) error
	// RuleChanges returns the manual changes of a rule, newest first. Pages are ordered by the id of the change.
	RuleChanges(ctx context.Context, ref attune.Ref, page attune.Page) ([]attune.RuleChange, error)
}

func (s *Server) registerRules() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-rules", Method: http.MethodGet, Path: "/rules", Tags: []string{"rules"},
		Summary: "List rules, newest first",
	}, s.listRules)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-rule", Method: http.MethodGet, Path: "/rules/{ref}", Tags: []string{"rules"},
		Summary: "Read one rule", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *RefPath) (*response[attune.Rule], error) {
		return s.rule(ctx, *in)
	})
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "enable-rule", Method: http.MethodPost, Path: "/rules/{ref}/enable", Tags: []string{"rules"},
		Summary: "Enable a rule; the switch lasts until its pack changes", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.switchRule(true))
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "disable-rule", Method: http.MethodPost, Path: "/rules/{ref}/disable", Tags: []string{"rules"},
		Summary: "Disable a rule; the switch lasts until its pack changes", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.switchRule(false))
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-rule-changes", Method: http.MethodGet, Path: "/rules/{ref}/changes", Tags: []string{"rules"},
		Summary: "List the manual changes of a rule, newest first", Errors: []int{http.StatusNotFound},
	}, s.listRuleChanges)
}

func (s *Server) rule(ctx context.Context, in RefPath) (*response[attune.Rule], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	rule, err := s.deps.Packs.Rule(ctx, in.Ref)
	return &response[attune.Rule]{Body: rule}, err
}

func (s *Server) listRules(ctx context.Context, in *Paging) (*response[List[attune.Rule]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Packs.Rules(ctx, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(r attune.Rule) int64 { return int64(r.ID) }, identity[attune.Rule]), nil
}

type switchRuleInput struct {
	RefPath
	Body *Attribution
}

func (s *Server) switchRule(enabled bool) func(context.Context, *switchRuleInput) (*response[attune.Rule], error) {
	return func(ctx context.Context, in *switchRuleInput) (*response[attune.Rule], error) {
		if err := in.check(); err != nil {
			return nil, err
		}
		author, err := in.Body.author(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.deps.Packs.SetRuleEnabled(ctx, in.Ref, enabled, author); err != nil {
			return nil, err
		}
		s.logger.InfoContext(ctx, "a rule was switched", "rule", in.Ref, "enabled", enabled,
			"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
		return s.rule(ctx, in.RefPath)
	}
}

type listRuleChangesInput struct {
	RefPath
	Paging
}

func (s *Server) listRuleChanges(ctx context.Context, in *listRuleChangesInput) (*response[List[attune.RuleChange]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	if _, err := s.rule(ctx, in.RefPath); err != nil {
		return nil, err
	}
	found, err := s.deps.Packs.RuleChanges(ctx, in.Ref, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(c attune.RuleChange) int64 { return c.ID }, identity[attune.RuleChange]), nil
}
