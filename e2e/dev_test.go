package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/rabbitmq"
)

// installation is attune in its own folder, with the Temporal server beside it, and the other files for `attune dev`.
type installation struct {
	t       *testing.T
	program string // a link to the program in another folder
	data    string
	folder  string // the working folder; only the program's own place leads to the Temporal server
}

func install(t *testing.T) *installation {
	t.Helper()
	root, err := os.MkdirTemp("", "attune-dev-") //nolint:usetesting // PostgreSQL's user may not enter a folder of t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(root)) })
	require.NoError(t, os.Chmod(root, 0o755)) // if the test runs as root, PostgreSQL runs as another user
	for _, folder := range []string{"installed", "linked", "elsewhere"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, folder), 0o755))
	}
	built, err := binary()
	require.NoError(t, err)
	data, err := os.ReadFile(built)
	require.NoError(t, err)
	installed := filepath.Join(root, "installed", "attune")
	require.NoError(t, os.WriteFile(installed, data, 0o755))
	temporal, err := services.FindTemporal(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(temporal, filepath.Join(root, "installed", "attune-temporal")))
	linked := filepath.Join(root, "linked", "attune")
	require.NoError(t, os.Symlink(installed, linked))
	return &installation{t: t, program: linked, data: filepath.Join(root, "data"), folder: filepath.Join(root, "elsewhere")}
}

// command is `attune dev` on free ports.
func (i *installation) command() *exec.Cmd {
	cmd := exec.Command(i.program, "dev", "--data-dir", i.data, "--http-addr", "127.0.0.1:0", "--log-level", "warn",
		"--postgres-port", "0", "--rabbitmq-port", "0", "--temporal-port", "0", "--temporal-ui-port", "0")
	cmd.Dir = i.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + i.folder}
	return cmd
}

// development is a running `attune dev`.
type development struct {
	cmd *exec.Cmd
	api *client.Client
	at  map[string]string // the printed addresses
}

// start returns when all services and roles run.
func (i *installation) start() *development {
	i.t.Helper()
	d := &development{cmd: i.command(), at: map[string]string{}}
	state := new(strings.Builder)
	d.cmd.Stderr = state
	output, err := d.cmd.StdoutPipe()
	require.NoError(i.t, err)
	require.NoError(i.t, d.cmd.Start())
	i.t.Cleanup(func() { _ = d.cmd.Process.Kill() }) // the services end with the process
	overdue := time.AfterFunc(testTimeout, func() { _ = d.cmd.Process.Kill() })
	defer overdue.Stop()
	for lines := bufio.NewScanner(output); d.at["try"] == "" && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "  ")
		d.at[name] = strings.TrimSpace(value)
	}
	if d.at["try"] == "" {
		_ = d.cmd.Wait()
		require.FailNow(i.t, "attune dev does not run", state.String())
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	d.api = client.New(strings.TrimSuffix(d.at["API"], "/api/v1"), d.at["API token"])
	return d
}

func (d *development) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, d.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, d.cmd.Wait())
}

// runs runs an action to its end and returns its execution.
func (d *development) runs(t *testing.T) attune.Execution {
	t.Helper()
	var answer struct {
		Enforcement attune.EnforcementID `json:"enforcement_id"`
	}
	require.NoError(t, d.api.Post(t.Context(), "/actions/core.noop/run", map[string]any{}, &answer))
	var found []attune.Execution
	require.True(t, within(testTimeout, func() (ended bool) {
		query := url.Values{"enforcement": {fmt.Sprint(answer.Enforcement)}}
		var err error
		found, err = client.List[attune.Execution](t.Context(), d.api, "/executions", query)
		require.NoError(t, err)
		return len(found) == 1 && found[0].Status == attune.ExecutionSucceeded
	}), "%+v", found)
	return found[0]
}

// TestDev runs `attune dev` twice, by a link to the program in another folder.
//
//nolint:tparallel // the subtests share one process, and the last one stops it
func TestDev(t *testing.T) {
	t.Parallel()
	i := install(t)
	first := i.start()
	before := first.runs(t)

	t.Run("attune is no superuser of its database", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), first.at["PostgreSQL"])
		require.NoError(t, err)
		defer conn.Close(t.Context())
		var sessions, supers int
		require.NoError(t, conn.QueryRow(t.Context(), `
			SELECT count(*), count(*) FILTER (WHERE r.rolsuper)
			FROM pg_stat_activity s JOIN pg_roles r ON r.oid = s.usesysid WHERE s.application_name = 'attune'`,
		).Scan(&sessions, &supers))
		require.Positive(t, sessions)
		require.Zero(t, supers)
	})

	t.Run("attune is no administrator of its broker", func(t *testing.T) {
		require.Contains(t, first.at["RabbitMQ"], "//"+rabbitmq.UserBridge+":")
		conn, err := amqp.Dial(first.at["RabbitMQ"])
		require.NoError(t, err)
		defer conn.Close()
		channel, err := conn.Channel()
		require.NoError(t, err)
		_, err = channel.QueueDeclare("mine", true, false, false, false, nil)
		require.ErrorContains(t, err, "ACCESS_REFUSED")
	})

	t.Run("no other user may look into the data folder", func(t *testing.T) {
		info, err := os.Stat(i.data)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o067, "%o", info.Mode().Perm())
		secret, err := os.Stat(filepath.Join(i.data, "token"))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), secret.Mode())
	})

	t.Run("a second process in the same folder is refused", func(t *testing.T) {
		output, err := i.command().CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(output), "end that process, or use another folder")
	})

	t.Run("a restart continues on other ports", func(t *testing.T) {
		first.stop(t)
		second := i.start()
		require.Equal(t, first.at["API token"], second.at["API token"])
		require.Equal(t, passwordOf(t, first.at["PostgreSQL"]), passwordOf(t, second.at["PostgreSQL"]))
		require.Equal(t, passwordOf(t, first.at["RabbitMQ"]), passwordOf(t, second.at["RabbitMQ"]))
		var kept attune.Execution
		require.NoError(t, second.api.Get(t.Context(), fmt.Sprintf("/executions/%d", before.ID), nil, &kept))
		require.Equal(t, before.FinishedAt, kept.FinishedAt)
		require.Greater(t, second.runs(t).ID, before.ID)
		second.stop(t)
	})
}

func passwordOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	password, _ := parsed.User.Password()
	require.NotEmpty(t, password)
	return password
}
