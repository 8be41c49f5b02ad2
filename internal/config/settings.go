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

// setting is one thing that can be told to attune. All that is known about it is in its row of the table.
type setting struct {
	name     string // key in the settings file; a dot is a level ("worker.slots")
	as       string // what variable and flag are named after, if not after the key
	command  string // the one command that has a use for it ("dev"); empty: every command that runs attune
	noFlag   bool   // on a command line it would be visible to every user of the host
	standard string // the default, as text; empty for none
	doc      string // one sentence, with unit and range
	// parts separates the values of a list in the environment; empty for a single value. The settings file has sequences. A
	// flag takes words with commas, and one path at a time, because a path may have a comma.
	parts string
	set   func(values []string) error // reports what is wrong with the value and what to use instead

	secret   *Secret // where a secret goes; it may also be given as the path of a file that holds it
	neededBy []Role
	example  string // of a value, for a person who has to set it
}

const (
	commas = ","
	colons = string(filepath.ListSeparator) // like those of PATH
)

// settings is the table, bound to the configuration that it fills.
func settings(c *Config) []setting {
	lease := between[time.Duration]{10 * time.Second, time.Hour, time.ParseDuration, "a length of time", ", such as 30s or 2m"}
	slots := between[int]{1, 1000, strconv.Atoi, "a whole number", ""}
	return append([]setting{
		{name: "postgres.url", secret: &c.PostgresURL, set: one(&c.PostgresURL, serviceURL("postgres", "postgresql")),
			doc:      "PostgreSQL, as postgres://user:password@host:port/database",
			neededBy: []Role{RoleAPI, RoleOrchestrator, RoleBridge}, example: "postgres://attune@127.0.0.1:5432/attune"},
		{name: "amqp.url", secret: &c.AMQPURL, set: one(&c.AMQPURL, serviceURL("amqp", "amqps")),
			doc:      "RabbitMQ, as amqp://user:password@host:port/vhost (amqps:// for TLS)",
			neededBy: []Role{RoleOrchestrator, RoleBridge, RoleWorker}, example: "amqp://attune@127.0.0.1:5672/"},
		{name: "http.addr", standard: "127.0.0.1:8080", set: one(&c.HTTPAddr, listenAddress),
			doc: "host:port the API listens on; port 0 takes a free one"},
		{name: "http.token", as: "api.token", noFlag: true, secret: &c.APIToken, set: one(&c.APIToken, token),
			doc:      "bearer token that API requests must carry, " + strconv.Itoa(minToken) + " characters or more",
			neededBy: []Role{RoleAPI}, example: `the output of "openssl rand -hex 32"`},
		{name: "packs", parts: colons, set: many(&c.Packs, folders),
			doc: "folders of packs to load besides the built-in core pack: one per flag, separated by '" + colons + "' in the environment"},
		{name: "roles", parts: commas, standard: joinRoles(Roles()), set: many(&c.Roles, parseRoles),
			doc: "parts to run in this process: " + joinRoles(Roles())},
		{name: "lease", standard: "1m", set: one(&c.Lease, lease.read), // to claim may take a part of it, and it is renewed six times
			doc: "how long the bridge waits for a worker that is not heard from before it gives up what that runs, " + lease.String()},
		{name: "worker.pool", standard: "default", set: one(&c.WorkerPool, poolName), doc: "pool whose executions the worker takes"},
		{name: "worker.slots", standard: "10", set: one(&c.WorkerSlots, slots.read),
			doc: "executions the worker runs at once, " + slots.String()},
		{name: "worker.name", standard: hostAndProcess(), set: one(&c.WorkerName, workerName),
			doc: "name of the worker, unique among those that run at the same time; unless set, the host's name and the process id"},
		{name: "data_dir", standard: ".attune", set: one(&c.DataDir, anyText),
			doc: "folder for files of attune's own; created when missing"},
		{name: "log.level", standard: "info", set: one(&c.LogLevel, logLevel),
			doc: "least level that is logged: debug, info, warn or error"},
		{name: "log.format", standard: "text", set: one(&c.LogFormat, oneOf("text", "json")),
			doc: "text (coloured on a terminal) or json"},
	}, devSettings(&c.Dev)...)
}

// way is one way to give a setting: itself, or for a secret the file that holds it. It has a name in each layer.
type way struct {
	key, env, flag string // flag is empty for a way without one
	usage          string
	set            func(values []string) error
}

func (s setting) ways() []way {
	flag := strings.NewReplacer(".", "-", "_", "-").Replace(cmp.Or(s.as, s.name))
	env := "ATTUNE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	flag = strings.TrimPrefix(flag, s.command+"-")
	itself := way{key: s.name, env: env, flag: flag, usage: s.doc + " [" + env + "]", set: s.set}
	file := way{key: s.name + "_file", env: env + "_FILE", flag: flag + "-file", set: fromFile(s.set)}
	file.usage = "file that holds --" + flag + " [" + file.env + "]"
	if s.noFlag {
		itself.flag, file.usage = "", "file that holds the "+s.doc+" ["+file.env+"; itself: "+env+"]"
	}
	if s.secret == nil {
		return []way{itself}
	}
	return []way{itself, file}
}

// split returns the values of a setting that are given in one text. Empty ones are dropped.
func (s setting) split(text string) []string {
	if s.parts == "" {
		return []string{text}
	}
	return slices.DeleteFunc(strings.Split(text, s.parts), func(value string) bool { return value == "" })
}

// The settings file is named here. It is no setting: a file cannot name itself.
const (
	configFileEnv  = "ATTUNE_CONFIG"
	configFileFlag = "config"
)

// Bind declares one flag per setting that belongs to no single command, and --config. [Load] reads those that were given.
// With names, only the settings named get a flag, for a command that has no use for the others; the other layers are read
// for all of them.
func Bind(set *pflag.FlagSet, names ...string) *pflag.FlagSet {
	return bind(set, func(s setting) bool {
		if len(names) > 0 {
			return slices.Contains(names, s.name)
		}
		return s.command == ""
	})
}

// BindCommand is [Bind] for one command: the settings that belong to it get a flag, too.
func BindCommand(set *pflag.FlagSet, command string) *pflag.FlagSet {
	return bind(set, func(s setting) bool { return s.command == "" || s.command == command })
}

func bind(set *pflag.FlagSet, wanted func(setting) bool) *pflag.FlagSet {
	set.String(configFileFlag, "", "settings file (YAML); none is read unless named ["+configFileEnv+"]")
	for _, s := range settings(new(Config)) {
		for _, w := range s.ways() {
			if w.flag != "" && wanted(s) {
				s.declare(set, w)
			}
		}
	}
	return set
}

// declare adds a flag. pflag adds the default to the usage.
func (s setting) declare(set *pflag.FlagSet, w way) {
	switch s.parts {
	case commas:
		set.StringSlice(w.flag, s.split(s.standard), w.usage)
	case colons:
		set.StringArray(w.flag, s.split(s.standard), w.usage)
	default:
		set.String(w.flag, s.standard, w.usage)
	}
}
