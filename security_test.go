package attune_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSecurityPage reads docs/security.md: each line of its tables names a test, and the test exists.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("docs", "security.md"))
	require.NoError(t, err)
	name := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)\\w+)`")
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		last := strings.TrimSpace(cells[len(cells)-1])
		if !strings.HasPrefix(line, "|") || last == "shown by" || last == "---" {
			continue
		}
		rows++
		tests := name.FindAllStringSubmatch(last, -1)
		require.Len(t, tests, strings.Count(last, ",")+1, "each line names tests, as `folder.Test`: %s", line)
		for _, test := range tests {
			require.True(t, hasTest(t, test[1], test[2]), "there is no test %s.%s: %s", test[1], test[2], line)
		}
	}
	require.Greater(t, rows, 30)
}

// hasTest reports whether the tests of a folder have a function; the folder attune is the root.
func hasTest(t *testing.T, folder, function string) bool {
	t.Helper()
	if folder == "attune" {
		folder = "."
	}
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(source), "\nfunc "+function+"(") {
			return true
		}
	}
	return false
}
