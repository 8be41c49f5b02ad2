package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/auth"
)

func TestRouter_Check(t *testing.T) {
	t.Parallel()
	handler := func(http.ResponseWriter, *http.Request) {}

	r := newRouter()
	r.handlePublic("GET /open", handler)
	r.handle(auth.RightRead, "GET /closed", handler)
	require.NoError(t, r.check())

	r.HandleFunc("GET /undeclared", handler)
	r.handle("", "GET /empty", handler)
	r.handle("guess", "GET /guess", handler)
	require.EqualError(t, r.check(), "routes without a right: GET /undeclared, GET /empty, GET /guess")
}
