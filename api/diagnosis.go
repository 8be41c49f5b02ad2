package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/doctor"
)

// Examiner checks attune and its services. It never fails: a check that cannot run is a finding.
type Examiner interface {
	Examine(ctx context.Context) doctor.Diagnosis
}

// registerDoctor serves the diagnosis. The process of the API has the credentials of the services, so a caller needs only the
// API and its token.
func (s *Server) registerDoctor() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "examine", Method: http.MethodGet, Path: "/doctor", Tags: []string{"health"},
		Summary:     "Check attune and its services, and say how to fix what is wrong",
		Description: "The status is 200 even when a check finds a problem: read verdict.",
	}, func(ctx context.Context, _ *struct{}) (*response[doctor.Diagnosis], error) {
		return &response[doctor.Diagnosis]{Body: s.deps.Doctor.Examine(ctx)}, nil
	})
}
