package config

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// setting is one row of the table of settings.
type setting struct {
	name        string // key in the settings file; a dot separates levels ("worker.slots")
	alias       string // replaces name in the names of the variable and the flag; empty means name
	command     string // the only command with a flag for the setting ("dev"); empty means every command that runs attune
	noFlag      bool   // no flag: every user of the host can read a command line
	defaultText string // the default, as text; empty for none
	doc         string // one sentence, with unit and range
	// separator separates the values of a list in the environment; empty for a single value. The settings file has sequences. A
	// flag takes a list of words with commas, but one path at a time, because a path may contain a comma.
	separator string
	set       func(values []string) error // parses the values; the error says what is wrong and what to use instead

	secret   *Secret          // destination of a secret; a secret can also be given as the path of a file
	neededBy []Role           // roles that cannot run without the setting
	instead  map[Role]*Secret // settings that a role can use instead
	example  string           // an example value, for error messages
}

const (
	comma         = ","
	pathSeparator = string(filepath.ListSeparator) // as in PATH
)

// settings returns the table. Its rows fill c.
func settings(c *Config) []setting {
	lease := between[time.Duration]{10 * time.Second, time.Hour, time.ParseDuration, "a length of time", ", such as 30s or 2m"}
	perSecond := between[int]{0, 1_000_000, strconv.Atoi, "a whole number", ""}
	connections := between[int]{10, 1_000_000, strconv.Atoi, "a whole number", ""}
	return slices.Concat([]setting{
		{name: "postgres.url", secret: &c.PostgresURL, set: single(&c.PostgresURL, serviceURL("postgres", "postgresql")),
			doc:      "PostgreSQL, as postgres://user:password@host:port/database",
			neededBy: []Role{RoleAPI, RoleOrchestrator, RoleBridge}, example: "postgres://attune@127.0.0.1:5432/attune"},
		{name: "amqp.url", secret: &c.AMQPURL, set: single(&c.AMQPURL, serviceURL("amqp", "amqps")),
			doc:      "RabbitMQ, as amqp://user:password@host:port/vhost (amqps:// for TLS)",
			neededBy: []Role{RoleOrchestrator, RoleBridge, RoleWorker}, example: "amqp://attune@127.0.0.1:5672/",
			instead: map[Role]*Secret{RoleWorker: &c.WorkerAMQPURL}},
		{name: "http.addr", defaultText: "127.0.0.1:8080", set: single(&c.HTTPAddr, listenAddress),
			doc: "host:port on which the API listens; port 0 takes a free port"},
		{name: "http.token", alias: "api.token", noFlag: true, secret: &c.APIToken, set: single(&c.APIToken, token),
			doc:      "bearer token that API requests must carry, " + strconv.Itoa(minTokenLength) + " characters or more",
			neededBy: []Role{RoleAPI}, example: `the output of "openssl rand -hex 32"`},
		{name: "http.caller_rate", defaultText: "1000", set: single(&c.Rates.Caller, perSecond.read),
			doc: "requests per second that this process takes from each caller, " + perSecond.String() + "; 0 sets no limit"},
		{name: "http.webhook_rate", defaultText: "200", set: single(&c.Rates.Webhook, perSecond.read),
			doc: "deliveries per second that this process takes for each webhook, " + perSecond.String() + "; 0 sets no limit"},
		{name: "http.failure_rate", defaultText: "10", set: single(&c.Rates.Failure, perSecond.read),
			doc: "failed authentications per second that this process takes from each address, " + perSecond.String() +
				"; 0 sets no limit"},
		{name: "http.max_connections", defaultText: "4096", set: single(&c.MaxConns, connections.read),
			doc: "open connections of the API, " + connections.String() + "; above it, the one that has been idle longest is closed"},
		{name: "tls.cert", set: single(&c.TLS.Cert, anyText),
			doc: "file with the certificate of the API and the intermediate ones, in PEM; the API then speaks TLS only"},
		{name: "tls.key", set: single(&c.TLS.Key, anyText),
			doc: "file with the key of the certificate, in PEM"},
		{name: "tls.client_ca", set: single(&c.TLS.ClientCA, anyText),
			doc: "file with CAs, in PEM: every caller of the API must present a certificate of one of them"},
		{name: "secrets.key", noFlag: true, secret: &c.SecretsKey, set: single(&c.SecretsKey, secretsKey),
			doc: "key that encrypts secrets, 32 bytes in hexadecimal or base64; older keys follow in lines of their own"},
		{name: "bridge.signing_key", noFlag: true, secret: &c.BridgeKey, set: single(&c.BridgeKey, signingKey),
			doc:      "key with which the bridge signs what it sends to workers, 32 bytes in hexadecimal",
			neededBy: []Role{RoleBridge}, example: `the content of the file that "attune keys new bridge FILE" writes`},
		{name: "packs", separator: pathSeparator, set: list(&c.Packs, folders),
			doc: "folders of packs to load besides the built-in core pack: one per flag, separated by '" + pathSeparator +
				"' in the environment"},
		{name: "roles", separator: comma, defaultText: joinRoles(Roles()), set: list(&c.Roles, parseRoles),
			doc: "parts to run in this process: " + joinRoles(Roles())},
		{name: "lease", defaultText: "1m", set: single(&c.Lease, lease.read), // must allow a slow claim and six renewals
			doc: "how long an attempt runs before its worker must renew the lease, " + lease.String() +
				"; the bridge ends an attempt with an expired lease"},
	}, workerSettings(c), []setting{
		{name: "data_dir", defaultText: ".attune", set: single(&c.DataDir, anyText),
			doc: "folder for attune's own files; created when missing"},
		{name: "log.level", defaultText: "info", set: single(&c.LogLevel, logLevel),
			doc: "lowest level that is logged: debug, info, warn or error"},
		{name: "log.format", defaultText: "text", set: single(&c.LogFormat, oneOf("text", "json")),
			doc: "text (coloured on a terminal) or json"},
	}, oidcSettings(&c.OIDC), devSettings(&c.Dev))
}

// workerSettings are the settings of the role worker.
func workerSettings(c *Config) []setting {
	stopGrace := between[time.Duration]{time.Second, 24 * time.Hour, time.ParseDuration, "a length of time", ", such as 30s or 10m"}
	slots := between[int]{1, 1000, strconv.Atoi, "a whole number", ""}
	return []setting{
		{name: "worker.pool", defaultText: "default", set: single(&c.WorkerPool, poolName),
			doc: "worker pool from which the worker takes executions"},
		{name: "worker.slots", defaultText: "10", set: single(&c.WorkerSlots, slots.read),
			doc: "executions that the worker runs at once, " + slots.String()},
		{name: "worker.name", defaultText: hostAndProcess(), set: single(&c.WorkerName, workerName),
			doc: "name of the worker, unique among running workers; the default is the host's name and the process id"},
		{name: "worker.amqp_url", secret: &c.WorkerAMQPURL, set: single(&c.WorkerAMQPURL, serviceURL("amqp", "amqps")),
			doc: "RabbitMQ as a user with the rights of a worker only; the default is the value of amqp.url"},
		{name: "worker.bridge_keys", separator: comma, set: list(&c.BridgeKeys, bridgeKeys),
			doc: "public keys of the bridges that the worker believes, from \"attune keys new bridge\"; that of this process counts too"},
		{name: "worker.stop_grace", alias: "stop.grace", defaultText: "30s", set: single(&c.StopGrace, stopGrace.read),
			doc: "how long a worker that is told to stop lets its executions run, " + stopGrace.String() +
				"; then it ends them, and policies with max_attempts above 1 retry them"},
		{name: "worker.action_user", set: single(&c.ActionUser, anyText),
			doc: "user of the system as which actions run, by name or id; the worker then runs as root or with the capabilities of the " +
				"documentation; the default is the user of the worker"},
		{name: "worker.allow_env", separator: comma, set: list(&c.AllowEnv, envGrants),
			doc: "environment variables of the worker that actions may see, each as pack=NAME; the pack * means every pack, and a " +
				"name may end with *"},
	}
}

// form is one form in which a setting can be given: as its value or, for a secret, as the path of a file with its value. A form
// has a name in each layer.
type form struct {
	key, env, flag string // flag is empty for a form without a flag
	usage          string
	set            func(values []string) error
}

func (s setting) forms() []form {
	flag := strings.NewReplacer(".", "-", "_", "-").Replace(cmp.Or(s.alias, s.name))
	env := "ATTUNE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	flag = strings.TrimPrefix(flag, s.command+"-")
	plain := form{key: s.name, env: env, flag: flag, usage: s.doc + " [" + env + "]", set: s.set}
	file := form{key: s.name + "_file", env: env + "_FILE", flag: flag + "-file", set: fromFile(s.set)}
	file.usage = "file that contains the value of --" + flag + " [" + file.env + "]"
	if s.noFlag {
		plain.flag, file.usage = "", "file that contains the "+s.doc+" ["+file.env+"; value: "+env+"]"
	}
	if s.secret == nil {
		return []form{plain}
	}
	return []form{plain, file}
}

// split returns the values of a text. For a list it drops empty values.
func (s setting) split(text string) []string {
	if s.separator == "" {
		return []string{text}
	}
	return slices.DeleteFunc(strings.Split(text, s.separator), func(value string) bool { return value == "" })
}

// The variable and the flag that name the settings file. They are not in the table, because a settings file cannot name itself.
const (
	configFileEnv  = "ATTUNE_CONFIG"
	configFileFlag = "config"
)

// Bind declares --config and a flag for each setting that does not belong to a single command. [Load] reads the flags that the
// caller gave. With names, only the named settings get a flag; [Load] still reads all settings from the other layers.
func Bind(set *pflag.FlagSet, names ...string) *pflag.FlagSet {
	return bind(set, func(s setting) bool {
		if len(names) > 0 {
			return slices.Contains(names, s.name)
		}
		return s.command == ""
	})
}

// BindCommand is [Bind] with additional flags for the settings of one command.
func BindCommand(set *pflag.FlagSet, command string) *pflag.FlagSet {
	return bind(set, func(s setting) bool { return s.command == "" || s.command == command })
}

func bind(set *pflag.FlagSet, wanted func(setting) bool) *pflag.FlagSet {
	set.String(configFileFlag, "", "settings file (YAML); without the flag, no file is read ["+configFileEnv+"]")
	for _, s := range settings(new(Config)) {
		for _, f := range s.forms() {
			if f.flag != "" && wanted(s) {
				s.declare(set, f)
			}
		}
	}
	return set
}

// declare adds the flag of a form. pflag adds the default to the usage.
func (s setting) declare(set *pflag.FlagSet, f form) {
	switch s.separator {
	case comma:
		set.StringSlice(f.flag, s.split(s.defaultText), f.usage)
	case pathSeparator:
		set.StringArray(f.flag, s.split(s.defaultText), f.usage)
	default:
		set.String(f.flag, s.defaultText, f.usage)
	}
}
