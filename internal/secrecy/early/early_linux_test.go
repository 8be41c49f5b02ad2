package early

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHidden asks the kernel whether the test program, which has this package, is dumpable.
func TestHidden(t *testing.T) {
	t.Parallel()
	const getDumpable = 3 // PR_GET_DUMPABLE
	dumpable, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, getDumpable, 0, 0)
	require.Zero(t, errno)
	require.Zero(t, dumpable)
}
