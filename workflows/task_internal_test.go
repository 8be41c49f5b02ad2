package workflows

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestCause(t *testing.T) {
	t.Parallel()
	long := cause(errors.New("x" + strings.Repeat("ä", maxProblem)))
	require.True(t, utf8.ValidString(long), "no character is cut in half: %q", long)
	require.LessOrEqual(t, len(long), maxProblem)
	require.Equal(t, "short", cause(errors.New("short")))
}
