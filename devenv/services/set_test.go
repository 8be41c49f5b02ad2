package services

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// orphanVariable makes this test binary start all services in the given folder, report that, and wait to be killed.
	orphanVariable = "ATTUNE_SERVICES_TEST_ORPHAN"
	// finderVariable makes this test binary print the result of FindTemporal.
	finderVariable = "ATTUNE_SERVICES_TEST_FINDER"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(orphanVariable); dir != "" {
		beOrphanMaker(dir)
	}
	if os.Getenv(finderVariable) != "" {
		path, err := FindTemporal(context.Background(), nil)
		if err != nil {
			path = err.Error()
		}
		fmt.Print(path)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func beOrphanMaker(dir string) {
	set, err := Start(context.Background(), Config{
		Dir: dir, Postgres: &PostgresConfig{}, RabbitMQ: &RabbitMQConfig{}, Temporal: &TemporalConfig{},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_ = set.Wait(context.Background()) // until this process is killed
	os.Exit(1)
}

func TestStart(t *testing.T) {
	t.Parallel()

	// orphanMaker runs this binary as the parent of all services and returns its output, line by line.
	orphanMaker := func(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
		t.Helper()
		parent := exec.Command(os.Args[0])
		parent.Env = append(os.Environ(), orphanVariable+"="+dir)
		output, err := parent.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, parent.Start())
		t.Cleanup(func() { _ = parent.Process.Kill() })
		return parent, bufio.NewScanner(output)
	}
	requireNothingLeft := func(t *testing.T, dir string) {
		t.Helper()
		var left []string
		ended := func() bool { left = processesOf(t, dir); return len(left) == 0 }
		require.Eventually(t, ended, 2*time.Minute, 20*time.Millisecond)
		require.Empty(t, left)
	}

	t.Run("a killed parent leaves no process", func(t *testing.T) {
		t.Parallel()
		dir := serviceDir(t)
		parent, output := orphanMaker(t, dir)
		require.True(t, output.Scan())
		require.Equal(t, "ready", output.Text())
		running := strings.Join(processesOf(t, dir), "\n")
		for _, one := range []string{"postgres", "beam.smp", "epmd", "attune-temporal"} {
			require.Contains(t, running, one)
		}
		require.NoError(t, parent.Process.Kill())
		require.Error(t, parent.Wait())
		requireNothingLeft(t, dir)
	})

	t.Run("a parent that is killed during the start leaves no process", func(t *testing.T) {
		t.Parallel()
		dir := serviceDir(t)
		parent, _ := orphanMaker(t, dir)
		booting := func() bool { // the log appears once the broker has started its name service
			_, err := os.Stat(filepath.Join(dir, "rabbitmq", "data", "attune@localhost"))
			return err == nil && strings.Contains(strings.Join(processesOf(t, dir), "\n"), "beam.smp")
		}
		require.Eventually(t, booting, rabbitStart, 5*time.Millisecond)
		require.NoError(t, parent.Process.Kill())
		require.Error(t, parent.Wait())
		requireNothingLeft(t, dir)
	})

	t.Run("a service that cannot start stops the others", func(t *testing.T) {
		t.Parallel()
		dir := serviceDir(t)
		taken, err := net.Listen("tcp4", loopback+":0")
		require.NoError(t, err)
		defer taken.Close()
		_, err = Start(t.Context(), Config{
			Dir:      dir,
			Postgres: &PostgresConfig{Ephemeral: true},
			Temporal: &TemporalConfig{InMemory: true, Port: taken.Addr().(*net.TCPAddr).Port},
		})
		require.ErrorContains(t, err, "Temporal cannot start")
		require.Empty(t, processesOf(t, dir))
	})

	t.Run("Wait reports the first service that ends", func(t *testing.T) {
		t.Parallel()
		set, err := Start(t.Context(), Config{Dir: serviceDir(t), Postgres: &PostgresConfig{Ephemeral: true}})
		require.NoError(t, err)
		stopAtEnd(t, set.Stop)
		require.NoError(t, set.Postgres.processes[0].cmd.Process.Kill())
		require.ErrorContains(t, set.Wait(t.Context()), "PostgreSQL ended unexpectedly: signal: killed")
	})
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", loopback+":0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	port := taken.Addr().(*net.TCPAddr).Port

	const advice = "choose another"
	for name, start := range map[string]func(context.Context, string) error{
		"PostgreSQL": func(ctx context.Context, dir string) error {
			_, err := StartPostgres(ctx, PostgresConfig{Dir: dir, Port: port, PortAdvice: advice})
			return err
		},
		"RabbitMQ": func(ctx context.Context, dir string) error {
			_, err := StartRabbitMQ(ctx, RabbitMQConfig{Dir: dir, Port: port, PortAdvice: advice})
			return err
		},
		"Temporal": func(ctx context.Context, dir string) error {
			_, err := StartTemporal(ctx, TemporalConfig{Dir: dir, Port: port, PortAdvice: advice})
			return err
		},
		"Temporal's web interface": func(ctx context.Context, dir string) error {
			_, err := StartTemporal(ctx, TemporalConfig{Dir: dir, UI: true, UIPort: port, UIPortAdvice: advice})
			return err
		},
	} {
		t.Run("a taken port of "+name+" is refused", func(t *testing.T) {
			t.Parallel()
			dir := serviceDir(t)
			err := start(t.Context(), dir)
			require.EqualError(t, err, fmt.Sprintf("%s cannot start: port %d on 127.0.0.1 is taken; %s", name, port, advice))
			require.Empty(t, processesOf(t, dir))
		})
	}
}
