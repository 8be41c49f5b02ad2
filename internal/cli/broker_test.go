package cli_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/rabbitmq"
)

// TestBrokerUsers runs the printed commands on a broker.
func TestBrokerUsers(t *testing.T) {
	t.Parallel()
	broker, err := services.StartRabbitMQ(t.Context(), services.RabbitMQConfig{Dir: filepath.Join(t.TempDir(), "broker"), Ephemeral: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, broker.Stop(context.Background())) })
	admin, err := amqp.Dial(broker.URL())
	require.NoError(t, err)
	channel, err := admin.Channel()
	require.NoError(t, err)
	for _, exchange := range []string{rabbitmq.Exchange, rabbitmq.WorkersExchange, rabbitmq.DeadExchange} {
		require.NoError(t, channel.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, false, nil))
	}
	const password = "swordfish"
	for range 2 { // the second time, the user exists
		code, commands, stderr := run(t, "broker", "users", "--pool", "gpu", "--pool", "small", "--name", "attune-gpu")
		require.Zero(t, code, stderr)
		shell := exec.CommandContext(t.Context(), "sh", "-eu")
		shell.Stdin = strings.NewReader(strings.ReplaceAll(commands, "add_user attune-gpu", "add_user attune-gpu "+password))
		shell.Env = broker.Environ()
		output, err := shell.CombinedOutput()
		require.NoError(t, err, "%s\n%s", commands, output)
	}

	address, err := amqp.ParseURI(broker.URL())
	require.NoError(t, err)
	address.Username, address.Password = "attune-gpu", password
	worker, err := amqp.Dial(address.String())
	require.NoError(t, err)
	for key, allowed := range map[string]bool{
		attune.KeyOfPool(attune.KeyExecutionClaim, "gpu"):       true,
		attune.KeyOfPool(attune.KeyExecutionClaim, "small"):     true,
		attune.KeyOfPool(attune.KeyExecutionClaim, "default"):   false,
		attune.KeyOfPool(attune.KeyExecutionCompleted, "gpu-2"): false,
	} {
		channel, err := worker.Channel()
		require.NoError(t, err)
		require.NoError(t, channel.Confirm(false))
		confirm, err := channel.PublishWithDeferredConfirm(rabbitmq.WorkersExchange, key, false, false, amqp.Publishing{})
		require.NoError(t, err)
		acknowledged, err := confirm.WaitContext(t.Context())
		require.NoError(t, err)
		require.Equal(t, allowed, acknowledged, key)
	}
}

func TestBrokerUsers_Usage(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"a pool that matches others is refused": {[]string{"--pool", ".*"}, `pool name ".*"`},
		"a pool with a dot is refused":          {[]string{"--pool", "a.b"}, `pool name "a.b"`},
		"a name for a shell is refused":         {[]string{"--pool", "gpu", "--name", "a; id"}, `user name "a; id"`},
		"a name without a pool is refused":      {[]string{"--name", "gpu"}, "--name needs --pool"},
		"an empty vhost is refused":             {[]string{"--vhost", ""}, "--vhost is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, append([]string{"broker", "users"}, tt.args...)...)
			require.Equal(t, 2, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, tt.want)
		})
	}

	t.Run("a vhost is one word of the shell", func(t *testing.T) {
		t.Parallel()
		code, stdout, _ := run(t, "broker", "users", "--vhost", "it's $(id)")
		require.Zero(t, code)
		require.Contains(t, stdout, `--vhost 'it'\''s $(id)' attune-bridge`)
	})

	t.Run("without a pool, every user is printed", func(t *testing.T) {
		t.Parallel()
		_, stdout, _ := run(t, "broker", "users")
		for _, user := range rabbitmq.Users() {
			require.Contains(t, stdout, "rabbitmqctl add_user "+user.Name+"\n"+strings.Join(user.Commands("/"), "\n")+"\n")
		}
	})
}
