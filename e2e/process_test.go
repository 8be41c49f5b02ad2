package e2e_test

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/e2e/program"
)

// programDir is the folder of the built program; empty before the build.
var programDir string

// binary builds attune once.
var binary = sync.OnceValues(func() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "attune-e2e-"); err != nil {
		return "", err
	}
	return program.Build(context.Background(), programDir)
})

// process is one running attune.
type process struct{ *program.Process }

// stop sends SIGTERM to the process and waits for its end.
func (p *process) stop() { p.Stop() }

// kill ends the process with SIGKILL, like a power cut.
func (p *process) kill() { p.Kill() }

// start runs `attune serve` and returns when attune logs that it runs.
func (c *cluster) start(args ...string) *process {
	c.t.Helper()
	path, err := binary()
	require.NoError(c.t, err)
	ctx, cancel := context.WithTimeout(c.t.Context(), testTimeout)
	defer cancel()
	p, err := program.Start(ctx, program.Config{
		Path: path, Args: append([]string{"serve", "--data-dir", c.t.TempDir(), "--packs", c.pack}, args...), Env: c.env,
	})
	require.NoError(c.t, err)
	c.t.Cleanup(func() {
		p.Stop()
		if c.t.Failed() {
			c.t.Logf("the last lines of the log of attune %s:\n%s", strings.Join(args, " "), lastLines(p.Output(), 40))
		}
	})
	return &process{p}
}

// attune runs a command to its end and returns its exit code and output.
func (c *cluster) attune(args ...string) (code int, output string) {
	c.t.Helper()
	path, err := binary()
	require.NoError(c.t, err)
	code, output, err = program.Run(c.t.Context(), program.Config{Path: path, Args: args, Env: c.env})
	require.NoError(c.t, err, output)
	return code, output
}

// lastLines returns the last n lines of a text, each cut to a readable length.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), 500)]
	}
	return strings.Join(lines, "\n")
}
