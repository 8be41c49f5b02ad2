package worker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// setupUnstartable returns a worker whose pack contains files that cannot be executed.
func setupUnstartable(t *testing.T) *bundle {
	t.Helper()
	b := setup(t, func(c *worker.Config) { c.Packs["away"] = filepath.Join(c.Packs["demo"], "nowhere") }).start(t)
	write := func(name, content string, mode os.FileMode) {
		require.NoError(t, os.WriteFile(b.path(name), []byte(content), mode))
	}
	write("plain.txt", "hello", 0o644)
	write("nonsense", "hello", 0o755)
	write("interpreter", "#!/no/such/program\n", 0o755)
	write("busy", "#!/bin/sh\n", 0o755)
	busy, err := os.OpenFile(b.path("busy"), os.O_WRONLY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, busy.Close()) })
	require.NoError(t, os.Symlink("/bin/sh", b.path("outside")))
	require.NoError(t, os.Symlink("loop", b.path("loop")))
	return b
}

// TestWorker_NotStarted requests actions that cannot start.
func TestWorker_NotStarted(t *testing.T) {
	t.Parallel()
	const start, missing = attune.ReasonStart, attune.ReasonExecutableNotFound
	type message = task
	for name, test := range map[string]struct {
		change func(*message)
		reason attune.Reason
		want   string
	}{
		"an unknown pack is refused": {
			func(m *message) { m.Action = "other.act" },
			missing, `does not have pack "other"`,
		},
		"a missing pack folder is refused": {
			func(m *message) { m.Action = "away.act" },
			missing, `of pack "away" does not exist`,
		},
		"a missing file is refused": {
			func(m *message) { m.Command[0] = "bin/none" },
			missing, `pack "demo" has no file "bin/none"`,
		},
		"a program not on the PATH is refused": {
			func(m *message) { m.Command[0] = "no-such-program" },
			missing, `"no-such-program" is not on the PATH`,
		},
		"a missing interpreter is refused": {
			func(m *message) { m.Command[0] = "./interpreter" },
			missing, `the first line (#!) of "./interpreter" names`,
		},
		"an absolute path is refused": {
			func(m *message) { m.Command[0] = "/bin/sh" },
			missing, `is an absolute path`,
		},
		"dots out of the folder are refused": {
			func(m *message) { m.Command[0] = "../../../../../../../../bin/sh" },
			missing, `leads out of the folder of pack "demo"`,
		},
		"a link out of the folder is refused": {
			func(m *message) { m.Command[0] = "./outside" },
			missing, `leads out of the folder of pack "demo"`,
		},
		"a file without execute bits is refused": {
			func(m *message) { m.Command[0] = "./plain.txt" },
			start, `is not executable: chmod +x`,
		},
		"a folder is refused": {
			func(m *message) { m.Command[0] = "./." },
			missing, `leads out`,
		},
		"a file that cannot be executed is refused": {
			func(m *message) { m.Command[0] = "./nonsense" },
			start, `neither a program for this machine nor a script`,
		},
		"a file open for writing is refused": {
			func(m *message) { m.Command[0] = "./busy" },
			start, `is still being written to`,
		},
		"a loop of links is refused": {
			func(m *message) { m.Command[0] = "./loop" },
			start, `file "./loop" of pack "demo"`,
		},
		"an empty command is refused": {
			func(m *message) { m.Command = nil },
			start, `has no command`,
		},
		"a zero timeout is refused": {
			func(m *message) { m.Timeout = 0 },
			start, `use more than 0`,
		},
		"an argument with a NUL is refused": {
			func(m *message) { m.Command = []string{"true", "a\x00b"} },
			start, `invalid argument`,
		},
		"a reserved variable is refused": {
			func(m *message) { m.Env = []string{"ATTUNE_DATABASE_URL"} },
			start, `reserved for the worker`,
		},
		"a variable that the worker does not allow is refused": {
			func(m *message) { m.Env = []string{"PATH", "GITHUB_TOKEN"} },
			attune.ReasonEnvNotAllowed, `allow it with demo=GITHUB_TOKEN in the setting worker.allow_env of the worker`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := request("true")
			test.change(&m)
			got := setupUnstartable(t).do(t, m)
			require.Equal(t, attune.ExecutionFailed, got.Status)
			require.Equal(t, test.reason, got.Reason, got.Error)
			require.Contains(t, got.Error, test.want)
			require.Nil(t, got.ExitCode)
		})
	}

	t.Run("a timeout ends the wait for a file that is open for writing", func(t *testing.T) {
		t.Parallel()
		m := request("./busy")
		m.Timeout = attune.Duration(time.Millisecond)
		got := setupUnstartable(t).do(t, m)
		require.Equal(t, attune.ExecutionTimedOut, got.Status)
		require.Equal(t, attune.ReasonTimeout, got.Reason)
		require.Equal(t, "time was up before it could be started", got.Error)
	})
}

// TestWorker_Environment prints the whole environment of a process.
func TestWorker_Environment(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *worker.Config) {
		c.Environ = []string{
			"PATH=relative:" + os.Getenv("PATH"), "HOME=/home/user", "LANG=C", "TZ=UTC", "GITHUB_TOKEN=token", "WITH=a=b",
			"ATTUNE_DATABASE_URL=secret", "AWS_SECRET_ACCESS_KEY=secret", "PASSWORD=secret", "LC_MONETARY=xx",
			"TZ=Europe/Berlin", "nonsense",
		}
		c.AllowEnv = attune.EnvGrants{{Pack: "demo", Name: "GITHUB_TOKEN"}, {Pack: "*", Name: "WITH"}, {Pack: "demo", Name: "NOT_*"}}
	}).start(t)
	m := request("env")
	m.Env = []string{"GITHUB_TOKEN", "WITH", "NOT_SET", "TZ"}
	m.Attempt = 2
	got := b.do(t, m)
	require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
	runDir := regexp.MustCompile(`(?m)^ATTUNE_RUN_DIR=(.*)\n`).FindStringSubmatch(got.Stdout)
	require.Len(t, runDir, 2)
	require.True(t, filepath.IsAbs(runDir[1]), runDir[1])
	require.NoDirExists(t, runDir[1])
	require.Empty(t, cmp.Diff([]string{
		fmt.Sprintf("ATTUNE_ACTION=demo.act-%d", m.Execution), "ATTUNE_ATTEMPT=2", "ATTUNE_ENFORCEMENT_ID=7", fmt.Sprintf("ATTUNE_EXECUTION_ID=%d", m.Execution),
		"ATTUNE_RUN_DIR=" + runDir[1],
		"GITHUB_TOKEN=token", "HOME=/home/user", "LANG=C", "PATH=relative:" + os.Getenv("PATH"), "TZ=Europe/Berlin", "WITH=a=b",
	}, strings.Split(strings.TrimSpace(got.Stdout), "\n")))
}

// TestWorker_Files finds the action's file and runs it in the pack's folder.
func TestWorker_Files(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := filepath.Join(t.TempDir(), "current")
	require.NoError(t, os.Symlink(b.dir, link))
	linked, err := worker.New(worker.Config{Name: "w1", Packs: map[string]string{"demo": link}, Action: actionOf}, b.requests, b.claims, b.reports, discard())
	require.NoError(t, err)
	b.Worker = linked
	b.start(t)
	require.NoError(t, os.Mkdir(b.path("bin"), 0o755))
	require.NoError(t, os.WriteFile(b.path("bin/tool"), []byte("#!/bin/sh\necho \"$1\" \"$2\"; pwd -P; pwd; ls bin\n"), 0o755))
	require.NoError(t, os.Symlink("bin/tool", b.path("alias")))
	real, err := filepath.EvalSymlinks(b.dir)
	require.NoError(t, err)

	for _, name := range []string{"bin/tool", "./bin/tool", "bin/../alias"} {
		got := b.do(t, request(name, "a b", "$HOME"))
		require.Equal(t, fmt.Sprintf("a b $HOME\n%s\n%s\ntool\n", real, real), got.Stdout, got.Error)
	}
}

// TestWorker_Parameters passes any JSON value through a process and back.
func TestWorker_Parameters(t *testing.T) {
	t.Parallel()

	t.Run("any JSON value comes back unchanged", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		rapid.Check(t, func(rt *rapid.T) {
			parameters, err := json.Marshal(anyJSON(3).Draw(rt, "parameters"))
			require.NoError(rt, err)
			m := request("cat")
			m.Parameters = parameters
			got := b.do(t, m)
			require.Equal(rt, string(parameters), got.Stdout)
			if !strings.Contains(string(parameters), `\u0000`) {
				require.Equal(rt, string(parameters), string(got.Result))
			}
		})
	})

	t.Run("missing parameters are an empty object", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "{}", setup(t).start(t).do(t, request("cat")).Stdout)
	})

	// A pipe buffers 64 KiB: the rest of a megabyte waits for a reader.
	large := json.RawMessage(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	for name, test := range map[string]struct{ script, want string }{
		"large parameters are read":            {`wc -c | tr -d ' '`, "1048576\n"},
		"large parameters may stay unread":     {`echo done`, "done\n"},
		"stdin may be closed early":            {`exec <&-; echo done`, "done\n"},
		"large parameters may be read in part": {`head -c 3; echo`, "\"xx\n"},
		"a child may keep stdin open":          {`sleep 1000 >/dev/null 2>&1 <&0 & echo done`, "done\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t).start(t)
			m := request(b.script(t, test.script))
			m.Parameters = large
			got := b.do(t, m)
			require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
			require.Equal(t, test.want, got.Stdout)
		})
	}
}

// anyJSON generates every kind of value that json.Unmarshal into an any yields.
func anyJSON(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	inner := anyJSON(depth - 1)
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(inner, 0, 4).AsAny(),
		rapid.MapOfN(rapid.String(), inner, 0, 4).AsAny())...)
}
