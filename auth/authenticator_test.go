package auth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

func TestAuthenticator_Bootstrap(t *testing.T) {
	t.Parallel()
	token := "0123456789abcdef"
	a := auth.NewAuthenticator(auth.Sources{Bootstrap: func() string { return token }})

	caller, err := a.Authenticate(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, auth.Caller{Principal: attune.Principal{Name: "bootstrap", Method: attune.AuthToken}, Role: auth.RoleAdmin}, caller)
	for _, wrong := range []string{"", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"} {
		_, err := a.Authenticate(t.Context(), wrong)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "%q", wrong)
	}

	before := token
	token = "fedcba9876543210"
	_, err = a.Authenticate(t.Context(), before)
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "the token in force counts")
	_, err = a.Authenticate(t.Context(), token)
	require.NoError(t, err)
	token = ""
	_, err = a.Authenticate(t.Context(), "")
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "an empty token is no token")
}
