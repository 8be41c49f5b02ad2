package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// writePack writes a pack named "e2e" with additional files, and returns its folder.
func writePack(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"pack.yaml": "name: e2e\nversion: 1.0.0\ndescription: what the tests need\n",
		// step writes a line at its start and at its end, to show order and overlap.
		"bin/step": `#!/bin/sh
params=$(cat)
n=$(printf '%s' "$params" | sed -n 's/.*"n": *\([0-9]*\).*/\1/p')
ms=$(printf '%s' "$params" | sed -n 's/.*"ms": *\([0-9]*\).*/\1/p')
echo "+$n" >> "$E2E_LOG"
sleep "$(printf '%d.%03d' $((${ms:-0} / 1000)) $((${ms:-0} % 1000)))"
echo "-$n" >> "$E2E_LOG"
printf '{"n":%d}\n' "${n:-0}"
`,
	}
	maps.Copy(all, files)
	for name, content := range all {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		mode := os.FileMode(0o644)
		if filepath.Dir(name) == "bin" {
			mode = 0o755
		}
		require.NoError(t, os.WriteFile(path, []byte(content), mode))
	}
	return dir
}

// stepAction declares an action that runs bin/step under a limit.
func stepAction(limit int) string {
	return fmt.Sprintf(`description: one step
command: [./bin/step]
env: [E2E_LOG]
policy:
  limit: %d
`, limit)
}
