package e2e_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/e2e/program"
)

// anyUser is a user without rights. A test that runs as root runs attune as this user: root may read every process.
const anyUser = 65534

// TestSecrecy_ActionFindsNoSecret runs an action that reads what it can of every process of its user: of attune in all its roles,
// of the supervisors, and of a process that is not protected, whose secret it finds.
func TestSecrecy_ActionFindsNoSecret(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{
		"actions/snoop.yaml": "command: [./bin/snoop]\npolicy: {limit: 1}\n",
		"bin/snoop":          "#!/bin/sh\n" + snoopVariable + "=yes exec ./bin/program\n",
	})
	c.env = append(c.env, "ATTUNE_WORKER_ALLOW_ENV=*=OTHER_*", "OTHER_SECRET=planted-for-another-action")
	c.startAs(anyUser)
	secrets := map[string]string{"token": token, "webhook": "swordfish-swordfish", "another action": "planted-for-another-action"}
	for name, variable := range map[string]string{"postgres": "ATTUNE_POSTGRES_URL", "broker": "ATTUNE_AMQP_URL"} {
		parsed, err := url.Parse(c.variable(variable))
		require.NoError(t, err)
		if password, set := parsed.User.Password(); set && len(password) >= 12 { // a short one is found by chance
			secrets[name] = password
		}
	}
	hidden := []string{}
	for _, secret := range secrets {
		hidden = append(hidden, backwards(secret))
	}
	id := c.run("e2e.snoop", map[string]any{"secrets": hidden, "control": backwards("planted-in-the-open")})
	c.finish("e2e.snoop", 1, 1)
	execution := c.executionOf(id)
	require.Equal(t, attune.ExecutionSucceeded, execution.Status, "%s\n%s", execution.Error, execution.Stderr)
	var found findings
	require.NoError(t, json.Unmarshal(execution.Result, &found))

	seen := map[string]int{}
	for _, process := range found.Processes {
		seen[process.Name]++
		switch process.Name {
		case "attune", "attune-supervisor":
			require.Equal(t, []string{"cmdline"}, process.Read, process.Name)
			require.Empty(t, process.Found, process.Name)
		case "sleep":
			require.Subset(t, process.Read, []string{"cmdline", "environ", "maps", "mem", "fd", "ptrace"})
			require.Subset(t, process.Found, []string{"environ", "mem"}, "the action finds what is not protected")
		}
	}
	require.GreaterOrEqual(t, seen["attune"], 1)
	require.GreaterOrEqual(t, seen["attune-supervisor"], 1)
	require.GreaterOrEqual(t, seen["sleep"], 1)
	if os.Getuid() == 0 {
		require.Equal(t, anyUser, found.UID)
	}
}

// startAs starts attune as a user if the test runs as root. It returns the process and the folder with all files of the user. The user
// can read the program, the pack and this test program, which becomes the file bin/program of the pack.
func (c *cluster) startAs(uid int) (process *program.Process, folder string) {
	c.t.Helper()
	root, err := os.MkdirTemp("", "attune-secrecy-") // another user may not enter a folder of t.TempDir
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = os.RemoveAll(root) })
	require.NoError(c.t, os.Chmod(root, 0o755))
	pack, data := filepath.Join(root, "pack"), filepath.Join(root, "data")
	require.NoError(c.t, os.CopyFS(pack, os.DirFS(c.pack)))
	require.NoError(c.t, os.Mkdir(data, 0o700))
	self, err := os.Executable()
	require.NoError(c.t, err)
	built, err := binary()
	require.NoError(c.t, err)
	for from, to := range map[string]string{self: filepath.Join(pack, "bin", "program"), built: filepath.Join(root, "attune")} {
		content, err := os.ReadFile(from)
		require.NoError(c.t, err)
		require.NoError(c.t, os.WriteFile(to, content, 0o755))
	}
	config := program.Config{
		Path: filepath.Join(root, "attune"), Args: []string{"serve", "--data-dir", data, "--packs", pack},
		Env: append(c.env, "HOME="+root, "TMPDIR="+root),
	}
	if os.Getuid() == 0 {
		require.NoError(c.t, os.Chown(data, uid, uid))
		config.UID = uid
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), testTimeout)
	defer cancel()
	process, err = program.Start(ctx, config)
	require.NoError(c.t, err)
	c.t.Cleanup(process.Stop)
	owner, err := os.ReadFile("/proc/" + strconv.Itoa(process.PID()) + "/status")
	require.NoError(c.t, err)
	require.True(c.t, os.Getuid() != 0 || strings.Contains(string(owner), "\nUid:\t"+strconv.Itoa(uid)+"\t"))
	return process, root
}
