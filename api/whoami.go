package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Identity is the caller of a request, as attune sees it.
type Identity struct {
	Principal attune.Principal `json:"principal" doc:"The author of the caller's changes"`
	Role      auth.Role        `json:"role,omitempty" doc:"What the caller may do; absent for a JSON web token whose claims name no role"`
	Token     string           `json:"token,omitempty" doc:"Prefix of the token; absent for the bootstrap token and for a JSON web token"`
	Triggers  []attune.Ref     `json:"triggers,omitempty" doc:"The triggers whose events the role event may send"`
}

func (s *Server) registerIdentity() {
	register(s, auth.RightIdentity, huma.Operation{
		OperationID: "who-am-i", Method: http.MethodGet, Path: "/whoami", Tags: []string{"access"},
		Summary: "Read who the caller is, and what role the caller has",
	}, func(ctx context.Context, _ *struct{}) (*response[Identity], error) {
		return &response[Identity]{Body: Identity(callerOf(ctx))}, nil
	})
}
