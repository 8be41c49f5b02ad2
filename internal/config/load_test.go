package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/config"
)

// layers holds the inputs of a Load. The text of file goes into a new file that --config names.
type layers struct {
	file string
	env  map[string]string
	args []string
}

func load(t *testing.T, in layers) (config.Config, error) {
	t.Helper()
	set := pflag.NewFlagSet("attune", pflag.ContinueOnError)
	flags := config.Bind(set)
	if in.file != "" {
		in.args = append(in.args, "--config", write(t, "attune.yaml", in.file))
	}
	require.NoError(t, set.Parse(in.args))
	return config.Load(flags, func(name string) (string, bool) {
		value, ok := in.env[name]
		return value, ok
	})
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()

	c, err := load(t, layers{})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8080", c.HTTPAddr)
	require.Equal(t, config.Roles(), c.Roles)
	require.Equal(t, "default", c.WorkerPool)
	require.Equal(t, 10, c.WorkerSlots)
	require.Equal(t, 30*time.Second, c.StopGrace)
	require.Equal(t, ".attune", c.DataDir)
	require.Equal(t, slog.LevelInfo, c.LogLevel)
	require.Equal(t, "text", c.LogFormat)
	require.Empty(t, c.Packs)
	require.False(t, c.PostgresURL.IsSet())

	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%s-%d", host, os.Getpid()), c.WorkerName)
}

func TestLoadLayers(t *testing.T) {
	t.Parallel()

	const file = `
http: {addr: "127.0.0.1:1001"}
worker:
  slots: 11
  pool: file
packs:
  - ./packs/one, with a comma
  - ./packs/two
roles: worker
log:
  level: debug
`
	env := map[string]string{
		"ATTUNE_WORKER_SLOTS": "12",
		"ATTUNE_WORKER_POOL":  "env",
		"ATTUNE_ROLES":        "api, bridge,api",
		"ATTUNE_LOG_FORMAT":   "", // set but empty counts as not set
	}
	c, err := load(t, layers{file: file, env: env, args: []string{"--worker-slots=13", "--log-level", "warn"}})
	require.NoError(t, err)

	require.Equal(t, "127.0.0.1:1001", c.HTTPAddr, "only the file sets it")
	require.Equal(t, "env", c.WorkerPool, "the environment replaces the file")
	require.Equal(t, 13, c.WorkerSlots, "a flag replaces both")
	require.Equal(t, slog.LevelWarn, c.LogLevel)
	require.Equal(t, "text", c.LogFormat)
	require.Equal(t, []string{"./packs/one, with a comma", "./packs/two"}, c.Packs)
	require.Equal(t, []config.Role{config.RoleAPI, config.RoleBridge}, c.Roles)
}

func TestLoadRepeatedFlag(t *testing.T) {
	t.Parallel()

	c, err := load(t, layers{
		env:  map[string]string{"ATTUNE_PACKS": "./from/env"},
		args: []string{"--packs", "a", "--packs", "b,c", "--roles=worker,api", "--roles", "bridge"},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b,c"}, c.Packs, "a folder may have a comma in its name")
	require.Equal(t, []config.Role{config.RoleWorker, config.RoleAPI, config.RoleBridge}, c.Roles, "flags replace the default")
}

func TestLoadPacks(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		in   layers
		want []string
	}{
		"each flag names one folder": {
			layers{args: []string{"--packs", "a, b", "--packs=/c d/"}},
			[]string{"a, b", "/c d/"},
		},
		"a flag may contain a colon": {layers{args: []string{"--packs", "a:b"}}, []string{"a:b"}},
		"the environment separates folders like PATH": {
			layers{env: map[string]string{"ATTUNE_PACKS": list("a, b", "/c d/")}},
			[]string{"a, b", "/c d/"},
		},
		"empty folders in the environment are dropped": {
			layers{env: map[string]string{"ATTUNE_PACKS": list("", "a", "", "b", "")}},
			[]string{"a", "b"},
		},
		"a single folder in the file may contain a comma": {layers{file: "packs: a,b\n"}, []string{"a,b"}},
		"an empty list in the file names no folder":       {layers{file: "packs: []\n"}, nil},
		"flags replace the environment": {
			layers{env: map[string]string{"ATTUNE_PACKS": "a"}, args: []string{"--packs=b"}},
			[]string{"b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, test.in)
			require.NoError(t, err)
			require.Equal(t, test.want, c.Packs)
		})
	}
}

// list joins paths like PATH.
func list(paths ...string) string { return strings.Join(paths, string(filepath.ListSeparator)) }

func TestLoadFileFromEnvironment(t *testing.T) {
	t.Parallel()

	path := write(t, "other.yaml", "data_dir: /srv/attune\n")
	c, err := load(t, layers{env: map[string]string{"ATTUNE_CONFIG": path}})
	require.NoError(t, err)
	require.Equal(t, "/srv/attune", c.DataDir)
}

func TestLoadSecretFromFile(t *testing.T) {
	t.Parallel()

	const secret = "0123456789abcdef0123"
	path := write(t, "token", secret+"\n")
	for name, in := range map[string]layers{
		"a variable names the file":        {env: map[string]string{"ATTUNE_API_TOKEN_FILE": path}},
		"a flag names the file":            {args: []string{"--api-token-file", path}},
		"the settings file names the file": {file: "http:\n  token_file: " + path + "\n"},
		"a later layer wins, whichever form it uses": {
			env:  map[string]string{"ATTUNE_API_TOKEN": "ffffffffffffffffffff"},
			args: []string{"--api-token-file", path},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, in)
			require.NoError(t, err)
			require.Equal(t, secret, c.APIToken.Reveal())
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	believes := "--worker-bridge-keys=" + strings.Repeat("ab", 32)

	cases := []struct {
		name string
		args []string
		env  map[string]string
		want []string // parts of the error; nil: no error
	}{
		{"a worker needs only the broker and the key of the bridge", []string{"--roles=worker", "--amqp-url=amqp://127.0.0.1/", believes}, nil, nil},
		{"a worker can have a user of its own only", []string{"--roles=worker", "--worker-amqp-url=amqp://w@127.0.0.1/", believes}, nil, nil},
		{"a worker without a key of the bridge is refused", []string{"--roles=worker", "--amqp-url=amqp://127.0.0.1/"}, nil, []string{
			"worker.bridge_keys is not set and the role worker needs it", "set --worker-bridge-keys or ATTUNE_WORKER_BRIDGE_KEYS",
			`"attune keys public FILE" prints`,
		}},
		{"a bridge without a signing key is refused", []string{"--roles=bridge", "--amqp-url=amqp://127.0.0.1/", believes}, nil, []string{
			"bridge.signing_key is not set and the role bridge needs it: set ATTUNE_BRIDGE_SIGNING_KEY or ATTUNE_BRIDGE_SIGNING_KEY_FILE",
			`"attune keys new bridge FILE" writes`,
		}},
		{"a bridge and its worker need one key", []string{
			"--roles=bridge,worker", "--amqp-url=amqp://127.0.0.1/", "--postgres-url=postgres://127.0.0.1/attune",
		}, map[string]string{"ATTUNE_BRIDGE_SIGNING_KEY": strings.Repeat("ab", 32)}, nil},
		{"a bridge does not use the worker's user", []string{"--roles=bridge,worker", "--worker-amqp-url=amqp://w@127.0.0.1/"}, nil, []string{
			"amqp.url is not set and the role bridge needs it",
		}},
		{"a worker without a broker is refused", []string{"--roles=worker"}, nil, []string{
			"amqp.url is not set and the role worker needs it: " +
				"set --amqp-url or ATTUNE_AMQP_URL or ATTUNE_AMQP_URL_FILE or amqp.url in the settings file",
		}},
		{"each missing setting is named with the roles that need it", nil, nil, []string{
			"postgres.url is not set and each of the roles api,orchestrator,bridge needs it",
			"amqp.url is not set and each of the roles orchestrator,bridge,worker needs it",
			"http.token is not set and the role api needs it: set ATTUNE_API_TOKEN or ATTUNE_API_TOKEN_FILE",
		}},
		{"the API needs no broker", []string{"--roles=api", "--postgres-url=postgres://127.0.0.1/attune"},
			map[string]string{"ATTUNE_API_TOKEN": "0123456789abcdef"}, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, layers{args: tc.args, env: tc.env})
			require.NoError(t, err)
			err = c.Validate()
			if tc.want == nil {
				require.NoError(t, err)
			}
			for _, part := range tc.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
}
