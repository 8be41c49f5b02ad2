package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// Rules reads rules and switches them. One that does not exist is an [attune.CodeNotFound] error; lists are newest
// first. A rule that its pack no longer declares cannot be enabled: [attune.CodeConflict].
type Rules interface {
	Rule(ctx context.Context, ref attune.Ref) (attune.Rule, error)
	Rules(ctx context.Context, page attune.Page) ([]attune.Rule, error)
	SetRuleEnabled(ctx context.Context, ref attune.Ref, enabled bool) error
}

func (s *Server) registerRules() {
	register(s, huma.Operation{
		OperationID: "list-rules", Method: http.MethodGet, Path: "/rules", Tags: []string{"rules"},
		Summary: "List rules, newest first",
	}, s.listRules)
	register(s, huma.Operation{
		OperationID: "get-rule", Method: http.MethodGet, Path: "/rules/{ref}", Tags: []string{"rules"},
		Summary: "Read one rule", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *RefPath) (*answer[attune.Rule], error) {
		return s.rule(ctx, *in)
	})
	register(s, huma.Operation{
		OperationID: "enable-rule", Method: http.MethodPost, Path: "/rules/{ref}/enable", Tags: []string{"rules"},
		Summary: "Enable a rule until its pack changes", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.switchRule(true))
	register(s, huma.Operation{
		OperationID: "disable-rule", Method: http.MethodPost, Path: "/rules/{ref}/disable", Tags: []string{"rules"},
		Summary: "Disable a rule until its pack changes", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.switchRule(false))
}

func (s *Server) rule(ctx context.Context, in RefPath) (*answer[attune.Rule], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	rule, err := s.deps.Packs.Rule(ctx, in.Ref)
	return &answer[attune.Rule]{Body: rule}, err
}

func (s *Server) listRules(ctx context.Context, in *Paging) (*answer[List[attune.Rule]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Packs.Rules(ctx, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(r attune.Rule) int64 { return int64(r.ID) }, itself[attune.Rule]), nil
}

func (s *Server) switchRule(enabled bool) func(context.Context, *RefPath) (*answer[attune.Rule], error) {
	return func(ctx context.Context, in *RefPath) (*answer[attune.Rule], error) {
		if err := in.check(); err != nil {
			return nil, err
		}
		if err := s.deps.Packs.SetRuleEnabled(ctx, in.Ref, enabled); err != nil {
			return nil, err
		}
		s.logger.InfoContext(ctx, "a rule was switched", "rule", in.Ref, "enabled", enabled, "request_id", exchangeOf(ctx).id)
		return s.rule(ctx, *in)
	}
}
