package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// located removes the path of the test's folder from an error.
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

func TestLoadErrors(t *testing.T) {
	t.Parallel()

	cases := []struct {
		name string
		in   layers
		want string // the whole error after "configuration: "
	}{
		{
			"an unknown key is refused", layers{file: "worker:\n  slot: 3\n"},
			`attune.yaml:2: unknown key "worker.slot": use action_user, allow_env, amqp_url, amqp_url_file, bridge_keys, name, pool, slots, stop_grace`,
		},
		{
			"a password on the command line is refused", layers{args: []string{"--postgres-url=postgres://u:hush@db/attune"}},
			`--postgres-url: postgres.url has a password, which every user of this machine can read on the command line: ` +
				`set ATTUNE_POSTGRES_URL, or name a file with --postgres-url-file`,
		},
		{
			"a password in a parameter on the command line is refused", layers{args: []string{"--postgres-url=postgres://u@db/a?password=hush"}},
			`--postgres-url: postgres.url has a password, which every user of this machine can read on the command line: ` +
				`set ATTUNE_POSTGRES_URL, or name a file with --postgres-url-file`,
		},
		{
			"an unknown key of the top level is refused", layers{file: "data_dir: x\nport: 3\n"},
			`attune.yaml:2: unknown key "port": use amqp, bridge, data_dir, dev, http, lease, log, oidc, packs, postgres, roles, secrets, tls, worker`,
		},
		{
			"a value out of range in the file is refused", layers{file: "worker:\n  pool: default\n  slots: 0\n"},
			`attune.yaml:3: worker.slots "0": use a whole number from 1 to 1000`,
		},
		{
			"a section without keys is refused", layers{file: "worker: 3\n"},
			`attune.yaml:1: worker: use keys with values (action_user, allow_env, amqp_url, amqp_url_file, bridge_keys, name, pool, slots, stop_grace)`,
		},
		{
			"a sequence for a single value is refused", layers{file: "data_dir:\n  - a\n  - b\n"},
			`attune.yaml:2: data_dir: use one value, not a sequence`,
		},
		{
			"a key without a value is refused", layers{file: "data_dir:\n"},
			`attune.yaml:1: data_dir has no value: give it one or remove the line`,
		},
		{
			"a file that is not a mapping is refused", layers{file: "- a\n"},
			`attune.yaml:1: the settings file: use keys with values (amqp, bridge, data_dir, dev, http, lease, log, oidc, packs, postgres, roles, secrets, tls, worker)`,
		},
		{
			"a second document is refused", layers{file: "data_dir: a\n---\ndata_dir: b\n"},
			`attune.yaml:3: a second document: put all settings into one`,
		},
		{
			"a duplicate key is refused", layers{file: "data_dir: a\ndata_dir: b\n"},
			`attune.yaml:2: mapping key "data_dir" already defined at [1:1]`,
		},
		{
			"a variable that is not a number is refused", layers{env: map[string]string{"ATTUNE_WORKER_SLOTS": "many"}},
			`ATTUNE_WORKER_SLOTS: worker.slots "many": use a whole number from 1 to 1000`,
		},
		{
			"an address without a port is refused", layers{args: []string{"--http-addr=8080"}},
			`--http-addr: http.addr "8080" is not host:port, for example 127.0.0.1:8080 or :8080`,
		},
		{
			"an address with a named port is refused", layers{args: []string{"--http-addr=:http"}},
			`--http-addr: http.addr ":http" has the port "http": use a whole number from 0 to 65535`,
		},
		{
			"an unknown role is refused", layers{args: []string{"--roles=api,wroker"}},
			`--roles: roles "wroker" is not a role: use one or more of api,orchestrator,bridge,worker`,
		},
		{
			"a flag without a role is refused", layers{args: []string{"--roles="}},
			`--roles: roles names no role: use one or more of api,orchestrator,bridge,worker`,
		},
		{
			"an empty flag is refused", layers{args: []string{"--data-dir="}},
			`--data-dir: data_dir is empty: give it a value or leave it out`,
		},
		{
			"a file with an empty list of roles is refused", layers{file: "roles: []\n"},
			`attune.yaml:1: roles names no role: use one or more of api,orchestrator,bridge,worker`,
		},
		{
			"an invalid pool name is refused", layers{args: []string{"--worker-pool=GPU"}},
			`--worker-pool: worker.pool pool name "GPU": use lower-case letters, digits, '_' or '-', starting with a letter`,
		},
		{
			"an invalid worker name is refused", layers{args: []string{"--worker-name=a b"}},
			`--worker-name: worker.name "a b": use 1 to 100 letters, digits, '-', '.' or '_'`,
		},
		{
			"an empty folder in a flag is refused", layers{args: []string{"--packs="}},
			`--packs: packs names a folder "": give its path or leave it out`,
		},
		{
			"an empty folder in the file is refused", layers{file: "packs: [a, \"\"]\n"},
			`attune.yaml:1: packs names a folder "": give its path or leave it out`,
		},
		{
			"a lease out of range is refused", layers{args: []string{"--lease=100ms"}},
			`--lease: lease "100ms": use a length of time from 10s to 1h0m0s, such as 30s or 2m`,
		},
		{
			"a lease without a unit is refused", layers{env: map[string]string{"ATTUNE_LEASE": "60"}},
			`ATTUNE_LEASE: lease "60": use a length of time from 10s to 1h0m0s, such as 30s or 2m`,
		},
		{
			"an unknown log level is refused", layers{env: map[string]string{"ATTUNE_LOG_LEVEL": "loud"}},
			`ATTUNE_LOG_LEVEL: log.level "loud": use debug, info, warn, error`,
		},
		{
			"a short token is refused", layers{env: map[string]string{"ATTUNE_API_TOKEN": "hunter2"}},
			`ATTUNE_API_TOKEN: http.token has 7 characters: use 16 or more, for example the output of "openssl rand -hex 32"`,
		},
		{
			"both forms of a secret in one layer are refused",
			layers{env: map[string]string{"ATTUNE_API_TOKEN": "0123456789abcdef", "ATTUNE_API_TOKEN_FILE": "/run/secrets/token"}},
			`ATTUNE_API_TOKEN and ATTUNE_API_TOKEN_FILE: both give http.token: keep one of them`,
		},
		{
			"a missing settings file is refused", layers{args: []string{"--config=/nonexistent/attune.yaml"}},
			`--config: read the settings file: open attune.yaml: no such file or directory`,
		},
		{
			"all problems are reported together", layers{file: "nope: 1\n", args: []string{"--worker-slots=-1"}},
			"attune.yaml:1: unknown key \"nope\": use amqp, bridge, data_dir, dev, http, lease, log, oidc, packs, postgres, roles, secrets, tls, worker\n" +
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
