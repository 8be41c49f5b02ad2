package e2e_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBadInput gives the program what people give it, and reads what it says.
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
		says []string
	}{
		"unknown command":       {args: []string{"frobnicate"}, code: 2, says: []string{"frobnicate", "--help"}},
		"unknown flag":          {args: []string{"serve", "--frobnicate"}, code: 2, says: []string{"--frobnicate"}},
		"unknown role":          {args: []string{"serve", "--roles=king"}, code: 2, says: []string{"king", "orchestrator"}},
		"nothing set":           {args: []string{"serve"}, env: []string{"ATTUNE_POSTGRES_URL=", "ATTUNE_AMQP_URL="}, code: 2, says: []string{"ATTUNE_POSTGRES_URL", "ATTUNE_AMQP_URL"}},
		"PostgreSQL is missing": {args: []string{"serve"}, env: []string{"ATTUNE_POSTGRES_URL=postgres://u:hush@127.0.0.1:1/attune"}, code: 1, says: []string{"PostgreSQL", "127.0.0.1:1"}},
		"RabbitMQ is missing":   {args: []string{"serve"}, env: []string{"ATTUNE_AMQP_URL=amqp://u:hush@127.0.0.1:1/"}, code: 1, says: []string{"RabbitMQ", "127.0.0.1:1"}},
		"Temporal is missing":   {args: []string{"serve"}, env: []string{"TEMPORAL_ADDRESS=127.0.0.1:1"}, code: 1, says: []string{"Temporal", "127.0.0.1:1", "TEMPORAL_ADDRESS"}},
		"the port is taken":     {args: []string{"serve", "--http-addr", taken.Addr().String()}, code: 1, says: []string{taken.Addr().String(), "in use", "--http-addr"}},
		"a pack is wrong": {args: []string{"packs", "check", bad}, code: 1, says: []string{
			filepath.Join(bad, "rules", "broken.yaml") + ":3", `no action "gone"`, filepath.Join(bad, "actions", "lost.yaml") + ":2", "bin/lost",
		}},
		"no such pack": {args: []string{"packs", "check", "/nonexistent"}, code: 1, says: []string{"/nonexistent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := &cluster{t: t, env: append(append([]string{}, c.env...), tt.env...)}
			args := tt.args
			if args[0] != "frobnicate" {
				args = append(args, "--data-dir", t.TempDir())
			}
			code, output := here.attune(args...)
			require.Equal(t, tt.code, code, output)
			for _, part := range tt.says {
				require.Contains(t, output, part)
			}
			require.NotContains(t, output, "hush", "a password was printed")
		})
	}
}
