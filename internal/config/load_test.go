package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
)

// layers is what the outside world says. The file is written to a folder of the test's own and named by --config.
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

// located removes the test's folder, so that an error can be compared.
func located(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if i := strings.Index(line, "attune.yaml"); i >= 0 {
			start := strings.LastIndexAny(line[:i], " \t") + 1
			line = line[:start] + line[i:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()

	c, err := load(t, layers{})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8080", c.HTTPAddr)
	require.Equal(t, config.Roles(), c.Roles)
	require.Equal(t, "default", c.WorkerPool)
	require.Equal(t, 10, c.WorkerSlots)
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
		"ATTUNE_LOG_FORMAT":   "", // set but empty is not set
	}
	c, err := load(t, layers{file: file, env: env, args: []string{"--worker-slots=13", "--log-level", "warn"}})
	require.NoError(t, err)

	require.Equal(t, "127.0.0.1:1001", c.HTTPAddr, "only the file says so")
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
	require.Equal(t, []config.Role{config.RoleWorker, config.RoleAPI, config.RoleBridge}, c.Roles, "the default does not stay in front")
}

func TestLoadPacks(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		in   layers
		want []string
	}{
		"Flags":          {layers{args: []string{"--packs", "a, b", "--packs=/c d/"}}, []string{"a, b", "/c d/"}},
		"FlagWithColon":  {layers{args: []string{"--packs", "a:b"}}, []string{"a:b"}},
		"Environment":    {layers{env: map[string]string{"ATTUNE_PACKS": list("a, b", "/c d/")}}, []string{"a, b", "/c d/"}},
		"EmptyItems":     {layers{env: map[string]string{"ATTUNE_PACKS": list("", "a", "", "b", "")}}, []string{"a", "b"}},
		"OneInFile":      {layers{file: "packs: a,b\n"}, []string{"a,b"}},
		"FileSaysNone":   {layers{file: "packs: []\n"}, nil},
		"FlagsInsteadOf": {layers{env: map[string]string{"ATTUNE_PACKS": "a"}, args: []string{"--packs=b"}}, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, test.in)
			require.NoError(t, err)
			require.Equal(t, test.want, c.Packs)
		})
	}
}

// list writes paths like those of PATH.
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
		"Environment": {env: map[string]string{"ATTUNE_API_TOKEN_FILE": path}},
		"Flag":        {args: []string{"--api-token-file", path}},
		"File":        {file: "http:\n  token_file: " + path + "\n"},
		// A later layer wins, whichever form it uses.
		"FileBeatenByFlag": {env: map[string]string{"ATTUNE_API_TOKEN": "ffffffffffffffffffff"}, args: []string{"--api-token-file", path}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := load(t, in)
			require.NoError(t, err)
			require.Equal(t, secret, c.APIToken.Reveal())
		})
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()

	cases := []struct {
		name string
		in   layers
		want string // the whole error after "configuration: "
	}{
		{
			"UnknownKey", layers{file: "worker:\n  slot: 3\n"},
			`attune.yaml:2: unknown key "worker.slot": use name, pool, slots`,
		},
		{
			"UnknownTopKey", layers{file: "data_dir: x\nport: 3\n"},
			`attune.yaml:2: unknown key "port": use amqp, data_dir, dev, http, lease, log, packs, postgres, roles, worker`,
		},
		{
			"ValueInFile", layers{file: "worker:\n  pool: default\n  slots: 0\n"},
			`attune.yaml:3: worker.slots "0": use a whole number from 1 to 1000`,
		},
		{
			"SectionWithoutKeys", layers{file: "worker: 3\n"},
			`attune.yaml:1: worker: use keys with values (name, pool, slots)`,
		},
		{
			"SequenceForOneValue", layers{file: "data_dir:\n  - a\n  - b\n"},
			`attune.yaml:2: data_dir: use one value, not a sequence`,
		},
		{
			"NoValue", layers{file: "data_dir:\n"},
			`attune.yaml:1: data_dir has no value: give it one or remove the line`,
		},
		{
			"NotAMapping", layers{file: "- a\n"},
			`attune.yaml:1: the settings file: use keys with values (amqp, data_dir, dev, http, lease, log, packs, postgres, roles, worker)`,
		},
		{
			"SecondDocument", layers{file: "data_dir: a\n---\ndata_dir: b\n"},
			`attune.yaml:3: a second document: put all settings into one`,
		},
		{
			"DuplicateKey", layers{file: "data_dir: a\ndata_dir: b\n"},
			`attune.yaml:2: mapping key "data_dir" already defined at [1:1]`,
		},
		{
			"Environment", layers{env: map[string]string{"ATTUNE_WORKER_SLOTS": "many"}},
			`ATTUNE_WORKER_SLOTS: worker.slots "many": use a whole number from 1 to 1000`,
		},
		{
			"Flag", layers{args: []string{"--http-addr=8080"}},
			`--http-addr: http.addr "8080" is not host:port, for example 127.0.0.1:8080 or :8080`,
		},
		{
			"FlagPort", layers{args: []string{"--http-addr=:http"}},
			`--http-addr: http.addr ":http" has the port "http": use a whole number from 0 to 65535`,
		},
		{
			"Role", layers{args: []string{"--roles=api,wroker"}},
			`--roles: roles "wroker" is not a role: use one or more of api,orchestrator,bridge,worker`,
		},
		{
			"NoRole", layers{args: []string{"--roles="}},
			`--roles: roles names no role: use one or more of api,orchestrator,bridge,worker`,
		},
		{
			"EmptyFlag", layers{args: []string{"--data-dir="}},
			`--data-dir: data_dir is empty: give it a value or leave it out`,
		},
		{
			"NoRoleInFile", layers{file: "roles: []\n"},
			`attune.yaml:1: roles names no role: use one or more of api,orchestrator,bridge,worker`,
		},
		{
			"Pool", layers{args: []string{"--worker-pool=GPU"}},
			`--worker-pool: worker.pool pool name "GPU": use lower-case letters, digits, '_' or '-', starting with a letter`,
		},
		{
			"WorkerName", layers{args: []string{"--worker-name=a b"}},
			`--worker-name: worker.name "a b": use 1 to 100 letters, digits, '-', '.' or '_'`,
		},
		{
			"EmptyPackFlag", layers{args: []string{"--packs="}},
			`--packs: packs names a folder "": give its path or leave it out`,
		},
		{
			"EmptyPackInFile", layers{file: "packs: [a, \"\"]\n"},
			`attune.yaml:1: packs names a folder "": give its path or leave it out`,
		},
		{
			"ShortLease", layers{args: []string{"--lease=100ms"}},
			`--lease: lease "100ms": use a length of time from 10s to 1h0m0s, such as 30s or 2m`,
		},
		{
			"LeaseWithoutUnit", layers{env: map[string]string{"ATTUNE_LEASE": "60"}},
			`ATTUNE_LEASE: lease "60": use a length of time from 10s to 1h0m0s, such as 30s or 2m`,
		},
		{
			"LogLevel", layers{env: map[string]string{"ATTUNE_LOG_LEVEL": "loud"}},
			`ATTUNE_LOG_LEVEL: log.level "loud": use debug, info, warn, error`,
		},
		{
			"ShortToken", layers{env: map[string]string{"ATTUNE_API_TOKEN": "hunter2"}},
			`ATTUNE_API_TOKEN: http.token has 7 characters: use 16 or more, for example the output of "openssl rand -hex 32"`,
		},
		{
			"BothForms", layers{env: map[string]string{"ATTUNE_API_TOKEN": "0123456789abcdef", "ATTUNE_API_TOKEN_FILE": "/run/secrets/token"}},
			`ATTUNE_API_TOKEN and ATTUNE_API_TOKEN_FILE: both give http.token: keep one of them`,
		},
		{
			"MissingSettingsFile", layers{args: []string{"--config=/nonexistent/attune.yaml"}},
			`--config: read the settings file: open attune.yaml: no such file or directory`,
		},
		{
			"TwoAtOnce", layers{file: "nope: 1\n", args: []string{"--worker-slots=-1"}},
			"attune.yaml:1: unknown key \"nope\": use amqp, data_dir, dev, http, lease, log, packs, postgres, roles, worker\n" +
				`  and: --worker-slots: worker.slots "-1": use a whole number from 1 to 1000`,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, tc.in)
			require.Error(t, err)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			require.Empty(t, cmp.Diff("configuration: "+tc.want, located(err)))
		})
	}
}

func TestLoadSyntaxError(t *testing.T) {
	t.Parallel()

	_, err := load(t, layers{file: "data_dir: ok\nhttp: {addr: \"x\"\n"})
	require.Error(t, err)
	require.Regexp(t, `^configuration: attune\.yaml:\d+: `, located(err))
}

func TestLoadEmptySecretFile(t *testing.T) {
	t.Parallel()

	path := write(t, "token", " \n")
	_, err := load(t, layers{env: map[string]string{"ATTUNE_API_TOKEN_FILE": path}})
	require.ErrorContains(t, err, "ATTUNE_API_TOKEN_FILE: http.token")
	require.ErrorContains(t, err, "is empty: put the value into it")

	_, err = load(t, layers{env: map[string]string{"ATTUNE_API_TOKEN_FILE": filepath.Dir(path)}})
	require.ErrorContains(t, err, "is not a regular file")
}

func TestValidate(t *testing.T) {
	t.Parallel()

	cases := []struct {
		name string
		args []string
		env  map[string]string
		want []string // parts of the error; none: valid
	}{
		{"Worker", []string{"--roles=worker", "--amqp-url=amqp://127.0.0.1/"}, nil, nil},
		{"WorkerAlone", []string{"--roles=worker"}, nil, []string{
			"amqp.url is not set and the role worker needs it: set --amqp-url or ATTUNE_AMQP_URL or ATTUNE_AMQP_URL_FILE or amqp.url in the settings file",
		}},
		{"Everything", nil, nil, []string{
			"postgres.url is not set and each of the roles api,orchestrator,bridge needs it",
			"amqp.url is not set and each of the roles orchestrator,bridge,worker needs it",
			"http.token is not set and the role api needs it: set ATTUNE_API_TOKEN or ATTUNE_API_TOKEN_FILE",
		}},
		{"API", []string{"--roles=api", "--postgres-url=postgres://127.0.0.1/attune"},
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
