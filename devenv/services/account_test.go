package services

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAccountCanEnter(t *testing.T) {
	t.Parallel()
	guest := &account{name: "nobody", uid: uint32(os.Geteuid()) + 1}
	open := serviceDir(t)
	require.NoError(t, guest.canEnter(filepath.Join(open, "data")))

	closed := filepath.Join(open, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	err := guest.canEnter(filepath.Join(closed, "postgres", "data"))
	require.ErrorContains(t, err, "no such file", "the folders above the data exist by then")
	require.NoError(t, os.Mkdir(filepath.Join(closed, "postgres"), 0o755))
	err = guest.canEnter(filepath.Join(closed, "postgres", "data"))
	require.ErrorContains(t, err, `user "nobody" may not enter "`+closed+`"`)

	var caller *account
	require.NoError(t, caller.canEnter(filepath.Join(closed, "postgres", "data")), "the caller runs the server")
}
