package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune/doctor"
)

// Examiner looks at everything that an operator would check. It never fails: what cannot be checked is a finding.
type Examiner interface {
	Examine(ctx context.Context) doctor.Diagnosis
}

// registerDoctor serves the examination. This process has the credentials of the services, so a caller needs only the API.
func (s *Server) registerDoctor() {
	register(s, huma.Operation{
		OperationID: "examine", Method: http.MethodGet, Path: "/doctor", Tags: []string{"health"},
		Summary: "Look at everything an operator would check, and say what to do; 200 also when something is wrong",
	}, func(ctx context.Context, _ *struct{}) (*answer[doctor.Diagnosis], error) {
		return &answer[doctor.Diagnosis]{Body: s.deps.Doctor.Examine(ctx)}, nil
	})
}
