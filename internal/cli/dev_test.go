package cli

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/internal/certs"
	"github.com/attune-go/attune/internal/config"
)

// TestPrintEndpoints checks that attune dev promises only what its process runs.
func TestPrintEndpoints(t *testing.T) {
	t.Parallel()
	printed := func(roles ...config.Role) string {
		cfg := config.Config{
			Roles: roles, APIToken: config.NewSecret("the-token"),
			PostgresURL: config.NewURL("postgres://attune@127.0.0.1:1/attune"), AMQPURL: config.NewURL("amqp://attune@127.0.0.1:2/"),
		}
		addr := ""
		if cfg.Has(config.RoleAPI) {
			addr = "127.0.0.1:3"
		}
		var out bytes.Buffer
		printEndpoints(&out, cfg, &localServices{&services.Set{}}, addr, " ATTUNE_API_TOKEN=$(cat token)", []string{"SHOP_SECRET"})
		return out.String()
	}

	t.Run("a process with all roles prints its API with a command to try", func(t *testing.T) {
		t.Parallel()
		out := printed(config.Roles()...)
		require.Contains(t, out, "http://127.0.0.1:3/api/v1\n")
		require.Regexp(t, `(?m)^API token +the-token$`, out)
		require.Regexp(t, `(?m)^SHOP_SECRET `, out)
		require.Contains(t, out, "export ATTUNE_URL=http://127.0.0.1:3 ATTUNE_API_TOKEN=$(cat token)\n")
		require.Regexp(t, `(?m)^try +curl .*http://127.0.0.1:3/api/v1/actions/core.echo/run`, out)
	})

	t.Run("with TLS, the commands trust the certificate", func(t *testing.T) {
		t.Parallel()
		cfg := config.Config{Roles: config.Roles(), APIToken: config.NewSecret("the-token"), TLS: certs.Paths{Cert: "/etc/api.crt", Key: "/etc/api.key"}}
		var out bytes.Buffer
		printEndpoints(&out, cfg, &localServices{&services.Set{}}, "127.0.0.1:3", "", nil)
		require.Contains(t, out.String(), `export ATTUNE_URL=https://127.0.0.1:3 ATTUNE_CA="/etc/api.crt"`)
		require.Contains(t, out.String(), `curl -s --cacert "/etc/api.crt" -H "Authorization: Bearer the-token" https://127.0.0.1:3/api/v1/`)
	})

	t.Run("a process without the API prints its roles and the services only", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "roles       worker bridge\n"+
			"PostgreSQL  postgres://attune@127.0.0.1:1/attune\n"+
			"RabbitMQ    amqp://attune@127.0.0.1:2/\n", printed(config.RoleWorker, config.RoleBridge))
	})
}
