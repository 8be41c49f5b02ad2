package e2e_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBadInput runs the program with invalid input and checks its messages.
func TestBadInput(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	c := newCluster(t, nil)

	bad := writePack(t, map[string]string{
		"rules/broken.yaml": "description: bad\ntrigger: core.manual\ncriteria: payload.x ==\naction: e2e.gone\n",
		"actions/lost.yaml": "description: no file\ncommand: [./bin/lost]\n",
	})
	for name, tt := range map[string]struct {
		args []string
		env  []string
		code int
		want []string
	}{
		"an unknown command is refused":      {args: []string{"frobnicate"}, code: 2, want: []string{"frobnicate", "--help"}},
		"an unknown flag is refused":         {args: []string{"serve", "--frobnicate"}, code: 2, want: []string{"--frobnicate"}},
		"an unknown role is refused":         {args: []string{"serve", "--roles=king"}, code: 2, want: []string{"king", "orchestrator"}},
		"missing settings are named":         {args: []string{"serve"}, env: []string{"ATTUNE_POSTGRES_URL=", "ATTUNE_AMQP_URL="}, code: 2, want: []string{"ATTUNE_POSTGRES_URL", "ATTUNE_AMQP_URL"}},
		"an unreachable PostgreSQL is named": {args: []string{"serve"}, env: []string{"ATTUNE_POSTGRES_URL=postgres://u:hush@127.0.0.1:1/attune"}, code: 1, want: []string{"PostgreSQL", "127.0.0.1:1"}},
		"an unreachable RabbitMQ is named":   {args: []string{"serve"}, env: []string{"ATTUNE_AMQP_URL=amqp://u:hush@127.0.0.1:1/"}, code: 1, want: []string{"RabbitMQ", "127.0.0.1:1"}},
		"an unreachable Temporal is named":   {args: []string{"serve"}, env: []string{"TEMPORAL_ADDRESS=127.0.0.1:1"}, code: 1, want: []string{"Temporal", "127.0.0.1:1", "TEMPORAL_ADDRESS"}},
		"a taken port is named":              {args: []string{"serve", "--http-addr", taken.Addr().String()}, code: 1, want: []string{taken.Addr().String(), "in use", "--http-addr"}},
		"the problems of a pack are listed": {args: []string{"packs", "check", bad}, code: 1, want: []string{
			filepath.Join(bad, "rules", "broken.yaml") + ":3", `no action "gone"`, filepath.Join(bad, "actions", "lost.yaml") + ":2", "bin/lost",
		}},
		"a missing pack is named": {args: []string{"packs", "check", "/nonexistent"}, code: 2, want: []string{"/nonexistent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			local := &cluster{t: t, env: append(append([]string{}, c.env...), tt.env...)}
			args := tt.args
			if args[0] != "frobnicate" {
				args = append(args, "--data-dir", t.TempDir())
			}
			code, output := local.attune(args...)
			require.Equal(t, tt.code, code, output)
			for _, part := range tt.want {
				require.Contains(t, output, part)
			}
			require.NotContains(t, output, "hush", "a password was printed")
		})
	}
}
