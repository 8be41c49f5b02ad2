package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/policy"
)

// GateReader reads what was used of rates and quotas, and says what would be.
type GateReader interface {
	GateLists
	// Probe returns what an enforcement with these charges would meet at the rates and quotas in force. It charges nothing.
	Probe(ctx context.Context, charges []attune.Charge) ([]attune.GateProbe, error)
}

// GateLists reads what was used of rates and quotas, newest first.
type GateLists interface {
	Limiters(ctx context.Context, filter attune.GateFilter, page attune.Page) ([]attune.Limiter, error)
	// LimiterCharges returns the charges of all limiters that filter selects.
	LimiterCharges(ctx context.Context, filter attune.GateFilter, page attune.Page) ([]attune.LimiterCharge, error)
	// LimiterLog returns the charges of a limiter, paged by the last unit. An unknown limiter has none.
	LimiterLog(ctx context.Context, limiter int64, page attune.Page) ([]attune.LimiterCharge, error)
	QuotaUsage(ctx context.Context, filter attune.GateFilter, page attune.Page) ([]attune.QuotaUsage, error)
}

// StartReader reads the attempts that queues with rates of starts let start, newest first. A queue without rates has none.
type StartReader interface {
	Starts(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.Start, error)
}

func (s *Server) registerGates() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-limiters", Method: http.MethodGet, Path: "/limiters", Tags: []string{"policies"},
		Summary: "List the logs of the rates that reject, one for each rate and value of its key",
	}, s.listLimiters)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-limiter-charges", Method: http.MethodGet, Path: "/limiters/{id}/log", Tags: []string{"policies"},
		Summary: "List the units that were charged to a rate, newest first, as far as a window can contain them",
	}, s.listLimiterLog)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-charges", Method: http.MethodGet, Path: "/limiters/log", Tags: []string{"policies"},
		Summary: "List the units that were charged to all rates, newest first, as far as a window can contain them",
	}, s.listCharges)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-quota-usage", Method: http.MethodGet, Path: "/quotas", Tags: []string{"policies"},
		Summary: "List what was used of the quotas, one entry for each quota, value of its key, and period",
	}, s.listQuotaUsage)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-queue-starts", Method: http.MethodGet, Path: "/queues/{key}/starts", Tags: []string{"queues"},
		Summary: "List the attempts that a queue with rates of starts let start, newest first", Errors: []int{http.StatusNotFound},
	}, s.listStarts)
}

// gatesInput is the query of a list of rates or quotas.
type gatesInput struct {
	Paging
	Scope policy.Scope `query:"scope" enum:"global,pack,queue,action" doc:"Only those of documents of this scope"`
	Ref   string       `query:"ref" doc:"Pack, queue or action of the documents; needed with every scope but global"`
}

// read returns the page and the filter. A scope and a reference belong together.
func (in gatesInput) read() (attune.GateFilter, attune.Page, error) {
	page, err := in.page()
	if err != nil {
		return attune.GateFilter{}, page, err
	}
	if named := in.Scope != "" && in.Scope != policy.ScopeGlobal; named != (in.Ref != "") {
		return attune.GateFilter{}, page, invalidProblem([]ProblemError{{
			Location: "query.ref", Message: "name the pack, queue or action with its scope; the global scope has none",
		}})
	}
	return attune.GateFilter{Scope: string(in.Scope), Ref: in.Ref}, page, nil
}

func (s *Server) listLimiters(ctx context.Context, in *gatesInput) (*response[List[attune.Limiter]], error) {
	filter, page, err := in.read()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Gates.Limiters(ctx, filter, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(l attune.Limiter) int64 { return l.ID }, identity), nil
}

func (s *Server) listCharges(ctx context.Context, in *gatesInput) (*response[List[attune.LimiterCharge]], error) {
	filter, page, err := in.read()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Gates.LimiterCharges(ctx, filter, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(c attune.LimiterCharge) int64 { return c.ID }, identity), nil
}

// limiterInput repeats the id instead of embedding it: see queueListInput.
type limiterInput struct {
	Paging
	ID int64 `path:"id" minimum:"1"`
}

func (s *Server) listLimiterLog(ctx context.Context, in *limiterInput) (*response[List[attune.LimiterCharge]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Gates.LimiterLog(ctx, in.ID, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(c attune.LimiterCharge) int64 { return c.Last }, identity), nil
}

func (s *Server) listQuotaUsage(ctx context.Context, in *gatesInput) (*response[List[attune.QuotaUsage]], error) {
	filter, page, err := in.read()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Gates.QuotaUsage(ctx, filter, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(u attune.QuotaUsage) int64 { return u.ID }, identity), nil
}

func (s *Server) listStarts(ctx context.Context, in *queueListInput) (*response[List[attune.Start]], error) {
	return listOfQueue(ctx, s, in, s.deps.Queues.Starts, func(start attune.Start) int64 { return start.ID }, identity)
}
