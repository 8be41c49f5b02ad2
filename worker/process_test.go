package worker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestWorker_Outcomes runs scripts to their own end.
func TestWorker_Outcomes(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	type report = attune.ExecutionCompletedMessage
	for name, test := range map[string]struct {
		script string
		want   report
	}{
		"Succeeded": {`echo out; echo err >&2`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: "out\n", Stderr: "err\n"}},
		"SucceededWithResult": {`echo '  {"n": [1, "é"]} '`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: "  {\"n\": [1, \"é\"]} \n", Result: json.RawMessage(`{"n": [1, "é"]}`)}},
		"ResultThatCannotBeStored": {`printf '"\\u0000"'`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: `"\u0000"`}},
		"OutputThatIsNotText": {`printf 'a\0\0b\377c'`,
			report{Status: attune.ExecutionSucceeded, ExitCode: new(0), Stdout: "a\uFFFDb\uFFFDc"}},
		"Failed": {`echo 42; echo first >&2; echo 'disk is full' >&2; exit 3`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode, ExitCode: new(3), Error: "exit code 3: disk is full",
				Stdout: "42\n", Stderr: "first\ndisk is full\n", Result: json.RawMessage(`42`)}},
		"FailedSilently": {`exit 1`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode, ExitCode: new(1), Error: "exit code 1"}},
		"KilledBySomebody": {`kill -KILL $$`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonSignal,
				Error: "killed by signal 9 (killed), which attune did not send; often the machine or its container was out of memory"}},
		"TerminatedBySomebody": {`kill -TERM $$`,
			report{Status: attune.ExecutionFailed, Reason: attune.ReasonSignal,
				Error: "killed by signal 15 (terminated), which attune did not send"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := request(b.script(t, test.script))
			got := b.do(t, m)

			test.want.Execution, test.want.Enforcement, test.want.ActionID = m.Execution, m.Enforcement, m.ActionID
			test.want.Attempt, test.want.Worker = m.Attempt, "w1"
			require.Empty(t, cmp.Diff(test.want, got, cmpopts.IgnoreFields(report{}, "StartedAt", "FinishedAt")))
			require.False(t, got.FinishedAt.Before(got.StartedAt))
		})
	}
}

// TestWorker_NotStarted asks for what cannot run.
func TestWorker_NotStarted(t *testing.T) {
	t.Parallel()
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
	defer busy.Close()
	require.NoError(t, os.Symlink("/bin/sh", b.path("outside")))
	require.NoError(t, os.Symlink("loop", b.path("loop")))

	const start, missing = attune.ReasonStart, attune.ReasonExecutableNotFound
	for name, test := range map[string]struct {
		change func(*attune.ExecutionRequestedMessage)
		reason attune.Reason
		says   string
	}{
		"NoPack":          {func(m *attune.ExecutionRequestedMessage) { m.Action = "other.act" }, missing, `does not have pack "other"`},
		"NoFolder":        {func(m *attune.ExecutionRequestedMessage) { m.Action = "away.act" }, missing, `of pack "away" is not there`},
		"NoFile":          {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "bin/none" }, missing, `pack "demo" has no file "bin/none"`},
		"NoProgram":       {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "no-such-program" }, missing, `"no-such-program" is not on the PATH`},
		"NoInterpreter":   {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "./interpreter" }, missing, `its first line (#!) names`},
		"AbsolutePath":    {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "/bin/sh" }, missing, `is an absolute path`},
		"OutsideByDots":   {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "../../../../../../../../bin/sh" }, missing, `leads out of the folder of pack "demo"`},
		"OutsideByLink":   {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "./outside" }, missing, `leads out of the folder of pack "demo"`},
		"NotExecutable":   {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "./plain.txt" }, start, `is not executable: chmod +x`},
		"Folder":          {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "./." }, missing, `leads out`},
		"NeitherProgram":  {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "./nonsense" }, start, `neither a program for this machine nor a script`},
		"StillWritten":    {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "./busy" }, start, `is still being written to`},
		"LinkLoop":        {func(m *attune.ExecutionRequestedMessage) { m.Command[0] = "./loop" }, start, `file "./loop" of pack "demo"`},
		"NoCommand":       {func(m *attune.ExecutionRequestedMessage) { m.Command = nil }, start, `has no command`},
		"NoTimeout":       {func(m *attune.ExecutionRequestedMessage) { m.Timeout = 0 }, start, `use more than 0`},
		"NulInArgument":   {func(m *attune.ExecutionRequestedMessage) { m.Command = []string{"true", "a\x00b"} }, start, `invalid argument`},
		"WorkersVariable": {func(m *attune.ExecutionRequestedMessage) { m.Env = []string{"ATTUNE_DATABASE_URL"} }, start, `the worker's own`},
	} {
		t.Run(name, func(t *testing.T) {
			m := request("true")
			test.change(&m)
			got := b.do(t, m)
			require.Equal(t, attune.ExecutionFailed, got.Status)
			require.Equal(t, test.reason, got.Reason, got.Error)
			require.Contains(t, got.Error, test.says)
			require.Nil(t, got.ExitCode)
		})
	}
}

// TestWorker_Ends ends processes that would not end by themselves.
func TestWorker_Ends(t *testing.T) {
	t.Parallel()

	// loop waits for ever without a child that a signal could end in its place.
	const loop = `echo $$ > pid; while :; do sleep 0.02; done`

	t.Run("Timeout", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request("sleep", "1000")
		m.Timeout = attune.Duration(200 * time.Millisecond)
		got := b.do(t, m)
		require.Equal(t, attune.ExecutionTimedOut, got.Status)
		require.Equal(t, attune.ReasonTimeout, got.Reason)
		require.Equal(t, "time was up while it ran", got.Error)
		require.Nil(t, got.ExitCode)
		require.EqualValues(t, 1, b.Stats().TimedOut)
	})

	t.Run("TermIsHonoured", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request(b.script(t, `trap 'echo bye; exit 3' TERM; `+loop))
		b.requests.push(m)
		pid := b.pid(t, "pid")
		require.True(t, b.Cancel(m.Execution, m.Attempt))
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, attune.ReasonCancelled, got.Reason)
		require.Equal(t, "cancelled while it ran", got.Error)
		require.Equal(t, "bye\n", got.Stdout)
		require.Equal(t, 3, *got.ExitCode)
		requireGone(t, pid)
	})

	t.Run("TermIsIgnored", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = 100 * time.Millisecond }).start(t)
		m := request(b.script(t, `trap '' TERM; `+loop))
		b.requests.push(m)
		pid := b.pid(t, "pid")
		require.True(t, b.Cancel(m.Execution, m.Attempt))
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Contains(t, got.Error, "did not end within 100ms of SIGTERM and was killed")
		require.Nil(t, got.ExitCode)
		requireGone(t, pid)
	})

	t.Run("WholeGroup", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.KillGrace = 100 * time.Millisecond }).start(t)
		// The child ignores SIGTERM and lets go of the output; the grandchild ignores it and keeps the output.
		m := request(b.script(t, `
			(trap '' TERM; sh -c 'echo $$ > grandchild; while :; do sleep 0.02; done' & exec >/dev/null 2>&1
			 echo ready > child; while :; do sleep 0.02; done) &
			echo $$ > pid; wait`))
		m.Timeout = attune.Duration(3 * time.Second)
		b.requests.push(m)
		grandchild := b.pid(t, "grandchild")
		require.Equal(t, "ready", b.read(t, "child"))
		require.True(t, alive(grandchild))
		require.GreaterOrEqual(t, len(groupOf(b.pid(t, "pid"))), 3)
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionTimedOut, got.Status)
		requireGone(t, b.pid(t, "pid"))
		requireGone(t, grandchild)
		require.Eventually(t, func() bool { return len(groupOf(b.pid(t, "pid"))) == 0 }, deadline, tick)
	})

	t.Run("ChildrenHaveTheGraceToo", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		// The shell dies of SIGTERM at once; its child cleans up first.
		m := request(b.script(t, `
			sh -c 'trap "sleep 0.1; echo cleaned; exit" TERM; echo $$ > pid; while :; do sleep 0.02; done' &
			wait`))
		b.requests.push(m)
		child := b.pid(t, "pid")
		b.Cancel(m.Execution, m.Attempt)
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, "cleaned\n", got.Stdout)
		requireGone(t, child)
	})

	t.Run("ExitInTheGraceIsNoSuccess", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		m := request(b.script(t, `trap 'exit 0' TERM; `+loop))
		b.requests.push(m)
		b.pid(t, "pid")
		b.Cancel(m.Execution, m.Attempt)
		got := b.reports.next(t)
		require.Equal(t, attune.ExecutionCancelled, got.Status)
		require.Equal(t, 0, *got.ExitCode)
	})
}

// TestWorker_LeftBehind runs actions whose children outlive them.
func TestWorker_LeftBehind(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)

	t.Run("HoldsTheOutput", func(t *testing.T) {
		got := b.do(t, request(b.script(t, `sleep 1000 & echo $! > holder; echo done`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		require.Equal(t, "done\n", got.Stdout)
		requireGone(t, b.pid(t, "holder"))
	})

	t.Run("LetsGoOfTheOutput", func(t *testing.T) {
		got := b.do(t, request(b.script(t, `sleep 1000 >/dev/null 2>&1 & echo $! > quiet; echo done`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		requireGone(t, b.pid(t, "quiet"))
	})

	t.Run("FinishesWriting", func(t *testing.T) {
		patient := setup(t, func(c *worker.Config) { c.OutputGrace = deadline }).start(t)
		got := patient.do(t, request(patient.script(t, `(sleep 0.1; echo late) & echo early`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		require.Equal(t, "early\nlate\n", got.Stdout)
	})

	t.Run("LeavesTheGroup", func(t *testing.T) {
		got := b.do(t, request(b.script(t, `setsid sh -c 'echo $$ > daemon; exec sleep 1000' & while [ ! -s daemon ]; do sleep 0.02; done; echo done`)))
		pid := b.pid(t, "daemon")
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		require.Equal(t, attune.ExecutionSucceeded, got.Status)
		require.Equal(t, "done\n", got.Stdout)
		require.True(t, alive(pid), "out of reach, as documented")
	})
}

// TestWorker_Environment shows a process all that it may see.
func TestWorker_Environment(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *worker.Config) {
		c.Environ = []string{
			"PATH=relative:" + os.Getenv("PATH"), "HOME=/home/somebody", "LANG=C", "TZ=UTC", "GITHUB_TOKEN=token", "WITH=a=b",
			"ATTUNE_DATABASE_URL=secret", "AWS_SECRET_ACCESS_KEY=secret", "PASSWORD=secret", "LC_MONETARY=xx",
			"TZ=Europe/Berlin", "nonsense",
		}
	}).start(t)
	m := request("env")
	m.Env = []string{"GITHUB_TOKEN", "WITH", "NOT_SET", "TZ"}
	m.Attempt = 2
	got := b.do(t, m)
	require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
	require.Empty(t, cmp.Diff([]string{
		"ATTUNE_ACTION=demo.act", "ATTUNE_ATTEMPT=2", "ATTUNE_ENFORCEMENT_ID=7", fmt.Sprintf("ATTUNE_EXECUTION_ID=%d", m.Execution),
		"GITHUB_TOKEN=token", "HOME=/home/somebody", "LANG=C", "PATH=relative:" + os.Getenv("PATH"), "TZ=Europe/Berlin", "WITH=a=b",
	}, strings.Split(strings.TrimSpace(got.Stdout), "\n")))
}

// TestWorker_Files finds the action's file and runs it in the pack's folder.
func TestWorker_Files(t *testing.T) {
	t.Parallel()
	b := setup(t)
	link := filepath.Join(t.TempDir(), "current")
	require.NoError(t, os.Symlink(b.dir, link))
	linked, err := worker.New(worker.Config{Name: "w1", Packs: map[string]string{"demo": link}}, b.requests, b.claims, b.reports, discard())
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
	b := setup(t).start(t)

	t.Run("AnyValue", func(t *testing.T) {
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

	t.Run("NoneIsAnEmptyObject", func(t *testing.T) {
		require.Equal(t, "{}", b.do(t, request("cat")).Stdout)
	})

	// A pipe takes 64 KiB: the rest of a megabyte waits for a reader.
	large := json.RawMessage(`"` + strings.Repeat("x", 1<<20-2) + `"`)
	for name, test := range map[string]struct{ script, want string }{
		"LargeAndRead":         {`wc -c | tr -d ' '`, "1048576\n"},
		"LargeAndNotRead":      {`echo done`, "done\n"},
		"LargeAndClosed":       {`exec <&-; echo done`, "done\n"},
		"LargeAndReadInPart":   {`head -c 3; echo`, "\"xx\n"},
		"LargeAndHeldByAChild": {`sleep 1000 >/dev/null 2>&1 <&0 & echo done`, "done\n"},
	} {
		t.Run(name, func(t *testing.T) {
			m := request(b.script(t, test.script))
			m.Parameters = large
			got := b.do(t, m)
			require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
			require.Equal(t, test.want, got.Stdout)
		})
	}
}

// anyJSON generates what json.Unmarshal into an any can yield.
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

// TestWorker_LargeOutput keeps the beginning and the end.
func TestWorker_LargeOutput(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *worker.Config) { c.OutputLimit = 4096 }).start(t)
	got := b.do(t, request(b.script(t, `
		echo '[1,'; head -c 5000000 /dev/zero | tr '\0' x; echo; echo ']'
		head -c 100000 /dev/zero >&2`)))
	require.Equal(t, attune.ExecutionSucceeded, got.Status)
	require.True(t, got.Truncated)
	require.Empty(t, got.Result)
	require.Less(t, len(got.Stdout), 4096+100)
	require.True(t, strings.HasPrefix(got.Stdout, "[1,\nxxx"))
	require.True(t, strings.HasSuffix(got.Stdout, "xxx\n]\n"))
	require.Contains(t, got.Stdout, fmt.Sprintf("\n[… %d bytes left out …]\n", 5_000_000+7-4096))
	require.Contains(t, got.Stderr, "bytes left out")
	require.NotContains(t, got.Stderr, "\x00")
}
