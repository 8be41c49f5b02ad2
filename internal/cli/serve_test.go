package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
)

// TestCheckActionUser refuses an unknown user before attune connects to anything.
func TestCheckActionUser(t *testing.T) {
	t.Parallel()
	check := func(name string, roles ...config.Role) error {
		return checkActionUser(config.Config{ActionUser: name, Roles: roles})
	}
	err := check("nosuchuser", config.RoleAPI, config.RoleWorker)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	require.ErrorContains(t, err, `--worker-action-user: this machine has no user "nosuchuser"`)
	require.NoError(t, check("nosuchuser", config.RoleAPI), "a process without a worker runs no actions")
	require.NoError(t, check("root", config.RoleWorker))
	require.NoError(t, check("54321", config.RoleWorker), "a number needs no name")
	require.NoError(t, check("", config.RoleWorker))
}
