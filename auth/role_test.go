package auth_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// The table of doc.go: the rights of each role.
func TestRole_Has(t *testing.T) {
	t.Parallel()
	granted := map[auth.Role][]auth.Right{
		"":                {auth.RightIdentity},
		auth.RoleViewer:   {auth.RightIdentity, auth.RightRead},
		auth.RoleOperator: {auth.RightIdentity, auth.RightRead, auth.RightSendEvents, auth.RightRun, auth.RightOperate},
		auth.RoleAdmin:    auth.Rights(),
		auth.RoleWorker:   {auth.RightIdentity},
		auth.RoleEvent:    {auth.RightIdentity, auth.RightSendEvents},
		"root":            {auth.RightIdentity},
	}
	for _, role := range append(auth.Roles(), "", "root") {
		require.Contains(t, granted, role)
		for _, right := range append(auth.Rights(), "", "everything") {
			require.Equal(t, slices.Contains(granted[role], right), role.Has(right), "%s %s", role, right)
		}
	}
}

func TestRole_Validate(t *testing.T) {
	t.Parallel()
	for _, role := range auth.Roles() {
		require.NoError(t, role.Validate())
	}
	for _, role := range []auth.Role{"", "root", "Admin", " admin"} {
		err := role.Validate()
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		require.ErrorContains(t, err, "use viewer, operator, admin, worker or event")
	}
}

func TestRight_Needs(t *testing.T) {
	t.Parallel()
	require.Equal(t, "viewer, operator or admin", auth.RightRead.Needs())
	require.Equal(t, "admin", auth.RightAdminister.Needs())
	require.Empty(t, auth.Right("guess").Roles(), "a route with a right that does not exist has no role")
	require.Empty(t, auth.Right("").Roles())
}

func TestCaller_MaySend(t *testing.T) {
	t.Parallel()
	triggers := []attune.Ref{"github.push"}
	for role, want := range map[auth.Role][2]bool{
		auth.RoleAdmin: {true, true}, auth.RoleOperator: {true, true}, auth.RoleEvent: {true, false},
		auth.RoleViewer: {}, auth.RoleWorker: {}, "": {},
	} {
		caller := auth.Caller{Role: role, Triggers: triggers}
		require.Equal(t, want, [2]bool{caller.MaySend("github.push"), caller.MaySend("github.tag")}, role)
	}
	require.False(t, auth.Caller{Role: auth.RoleEvent}.MaySend(""), "a token without triggers sends nothing")
}
