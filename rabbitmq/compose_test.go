package rabbitmq_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestCompose_Passwords makes the passwords of docker-compose.yml.
func TestCompose_Passwords(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	made := func(t *testing.T, content string) map[string]string {
		t.Helper()
		file := filepath.Join(t.TempDir(), ".env")
		if content != "" {
			require.NoError(t, os.WriteFile(file, []byte(content), 0o644))
		}
		var text []byte
		for range 2 { // the second run changes nothing
			before := text
			output, err := exec.CommandContext(t.Context(), "sh", "../deploy/env.sh", file).CombinedOutput()
			require.NoError(t, err, "%s", output)
			text, err = os.ReadFile(file)
			require.NoError(t, err)
			require.True(t, before == nil || bytes.Equal(before, text))
		}
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		values := map[string]string{}
		for line := range strings.Lines(string(text)) {
			if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found && value != "" {
				values[name] = value
			}
		}
		return values
	}
	compose, err := os.ReadFile("../docker-compose.yml")
	require.NoError(t, err)
	required := regexp.MustCompile(`\$\{([A-Z_]+):\?`).FindAllStringSubmatch(string(compose), -1)
	require.NotEmpty(t, required)

	t.Run("every required variable gets a value of its own", func(t *testing.T) {
		t.Parallel()
		example, err := os.ReadFile("../deploy/.env.example")
		require.NoError(t, err)
		for _, content := range []string{"", string(example)} {
			values := made(t, content)
			distinct := map[string]bool{}
			for _, match := range required {
				require.Regexp(t, `^[0-9a-f]{64}$`, values[match[1]], match[1])
				distinct[values[match[1]]] = true
			}
			require.Len(t, distinct, 4)
			_, err := attune.ParseBridgeSigningKey(values["ATTUNE_BRIDGE_SIGNING_KEY"])
			require.NoError(t, err)
		}
	})

	t.Run("a value that exists stays", func(t *testing.T) {
		t.Parallel()
		values := made(t, "ATTUNE_PORT=1\nRABBITMQ_PASSWORD=mine")
		require.Equal(t, "mine", values["RABBITMQ_PASSWORD"])
		require.Equal(t, "1", values["ATTUNE_PORT"])
		require.Len(t, values["RABBITMQ_BRIDGE_PASSWORD"], 64)
	})

	t.Run("no password of the broker has a default", func(t *testing.T) {
		t.Parallel()
		require.NotContains(t, string(compose), "PASSWORD:-attune}@rabbitmq")
		require.NotRegexp(t, `\$\{RABBITMQ_[A-Z_]*:-`, string(compose))
	})
}
