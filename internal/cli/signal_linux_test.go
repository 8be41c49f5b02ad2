package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// hangupVariable makes the test program a command that waits for signals; its value says whether the command reloads.
const hangupVariable = "CLI_TEST_HANGUP"

// TestHangupCommand is that command. It writes a line when it is ready, for each reload, and at its end.
func TestHangupCommand(t *testing.T) { //nolint:paralleltest // it is the whole program
	reloads := os.Getenv(hangupVariable)
	if reloads == "" {
		t.Skip("only for TestHangups")
	}
	h := newHangups()
	ctx, stop := untilSignal(context.Background(), h)
	defer stop()
	lines := os.NewFile(3, "lines")
	var requests <-chan struct{}
	if reloads == "yes" {
		requests = h.reload()
	}
	h.beforeEnd(func() { _, _ = fmt.Fprintln(lines, "end") })
	_, _ = fmt.Fprintln(lines, "ready")
	for {
		select {
		case <-requests:
			_, _ = fmt.Fprintln(lines, "reload")
		case <-ctx.Done():
			_, _ = fmt.Fprintln(lines, "stop")
			if reloads == "stuck" {
				select {}
			}
			return
		}
	}
}

// hangupCommand is a running command.
type hangupCommand struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// startHangup starts a command. With a terminal, the command leads a session whose controlling terminal that is.
func startHangup(t *testing.T, reloads string, terminal *os.File) *hangupCommand {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = read.Close() })
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestHangupCommand$")
	cmd.Env = append(os.Environ(), hangupVariable+"="+reloads)
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if terminal != nil {
		cmd.Stdin = terminal
		cmd.SysProcAttr.Setctty = true // of stdin
	}
	require.NoError(t, cmd.Start())
	require.NoError(t, write.Close())
	t.Cleanup(func() { _ = cmd.Wait() })
	c := &hangupCommand{cmd: cmd, lines: bufio.NewScanner(read)}
	c.requireLine(t, "ready")
	return c
}

// requireLine waits for the next line of the command.
func (c *hangupCommand) requireLine(t *testing.T, want string) {
	t.Helper()
	require.True(t, c.lines.Scan(), "the command has ended")
	require.Equal(t, want, c.lines.Text())
}

func (c *hangupCommand) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(sig))
}

// TestHangups sends SIGHUP to commands with and without a terminal.
func TestHangups(t *testing.T) {
	t.Parallel()

	t.Run("a service reloads and goes on", func(t *testing.T) {
		t.Parallel()
		c := startHangup(t, "yes", nil)
		for range 3 {
			c.signal(t, syscall.SIGHUP)
			c.requireLine(t, "reload")
		}
		c.signal(t, syscall.SIGTERM)
		c.requireLine(t, "stop")
	})

	t.Run("a command that does not reload stops", func(t *testing.T) {
		t.Parallel()
		c := startHangup(t, "no", nil)
		c.signal(t, syscall.SIGHUP)
		c.requireLine(t, "stop")
	})

	t.Run("a second signal ends a command that does not stop, after its last words", func(t *testing.T) {
		t.Parallel()
		c := startHangup(t, "stuck", nil)
		c.signal(t, syscall.SIGTERM)
		c.requireLine(t, "stop")
		c.signal(t, syscall.SIGTERM)
		c.requireLine(t, "end")
		require.EqualError(t, c.cmd.Wait(), "signal: terminated")
	})

	t.Run("a server in a terminal reloads while the terminal is there, and stops when it is closed", func(t *testing.T) {
		t.Parallel()
		main, terminal := openTerminal(t)
		c := startHangup(t, "yes", terminal)
		require.NoError(t, terminal.Close())
		c.signal(t, syscall.SIGHUP)
		c.requireLine(t, "reload")
		require.NoError(t, main.Close())
		c.requireLine(t, "stop")
	})
}

// openTerminal returns both sides of a new pseudoterminal.
func openTerminal(t *testing.T) (main, terminal *os.File) {
	t.Helper()
	main, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = main.Close() })
	control := func(request uintptr, value *int32) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, main.Fd(), request, uintptr(unsafe.Pointer(value)))
		require.Zero(t, errno)
	}
	var unlock, number int32
	control(syscall.TIOCSPTLCK, &unlock)
	control(syscall.TIOCGPTN, &number)
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	return main, terminal
}
