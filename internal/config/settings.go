package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Setting is one thing that can be told to attune. All that is known about it is here.
type Setting struct {
	Name    string // key in the settings file; a dot is a level ("worker.slots")
	Env     string // environment variable
	Flag    string // flag without dashes; empty when giving it on a command line would show a secret to every user
	Default string // as text; empty for none
	Doc     string // one sentence, with unit and range
	Secret  bool   // may also be given as the path of a file that holds it
	List    List   // whether it has several values
	Command string // the one command that has a use for it ("dev"); empty: every command that runs attune

	parse func(c *Config, values []string) error // reports what is wrong with the value and what to use instead
	show  func(c Config) string                  // the value as text, redacted
}

// List says whether a setting has several values, and how they are told apart outside of the settings file, where they
// are a sequence.
type List int

// The kinds of lists.
const (
	ListNone  List = iota // one value
	ListWords             // commas part them, in the environment and in a flag
	ListPaths             // the environment parts them like PATH does, a flag gives one and is repeated: paths may have commas
)

// Settings returns every setting, in the order of the reference page.
func Settings() []Setting {
	return slices.Concat(serviceSettings(), processSettings(), devSettings())
}

// serviceSettings are about what the process talks to and who talks to it.
func serviceSettings() []Setting {
	return []Setting{
		{
			Name: "postgres.url", Env: "ATTUNE_POSTGRES_URL", Flag: "postgres-url", Secret: true,
			Doc: "PostgreSQL, as postgres://user:password@host:port/database",
			parse: one(func(c *Config, v string) (err error) {
				c.PostgresURL, err = serviceURL(v, "postgres", "postgresql")
				return
			}),
			show: func(c Config) string { return c.PostgresURL.String() },
		},
		{
			Name: "amqp.url", Env: "ATTUNE_AMQP_URL", Flag: "amqp-url", Secret: true,
			Doc:   "RabbitMQ, as amqp://user:password@host:port/vhost (amqps:// for TLS)",
			parse: one(func(c *Config, v string) (err error) { c.AMQPURL, err = serviceURL(v, "amqp", "amqps"); return }),
			show:  func(c Config) string { return c.AMQPURL.String() },
		},
		{
			Name: "http.addr", Env: "ATTUNE_HTTP_ADDR", Flag: "http-addr", Default: "127.0.0.1:8080",
			Doc:   "host:port the API listens on; port 0 takes a free one",
			parse: one(func(c *Config, v string) (err error) { c.HTTPAddr, err = listenAddress(v); return }),
			show:  func(c Config) string { return c.HTTPAddr },
		},
		{
			Name: "http.token", Env: "ATTUNE_API_TOKEN", Secret: true,
			Doc:   "bearer token that API requests must carry, " + strconv.Itoa(MinTokenLength) + " characters or more",
			parse: one(func(c *Config, v string) (err error) { c.APIToken, err = token(v); return }),
			show:  func(c Config) string { return c.APIToken.String() },
		},
	}
}

// processSettings are about what the process does.
func processSettings() []Setting {
	return []Setting{
		{
			Name: "packs", Env: "ATTUNE_PACKS", Flag: "packs", List: ListPaths,
			Doc: "folders of packs to load besides the built-in core pack: one per flag, separated by '" + pathSeparator +
				"' in the environment",
			parse: func(c *Config, values []string) (err error) { c.Packs, err = folders(values); return },
			show:  func(c Config) string { return strings.Join(c.Packs, pathSeparator) },
		},
		{
			Name: "roles", Env: "ATTUNE_ROLES", Flag: "roles", List: ListWords, Default: joinRoles(Roles()),
			Doc:   "parts to run in this process: " + joinRoles(Roles()),
			parse: func(c *Config, values []string) (err error) { c.Roles, err = parseRoles(values); return },
			show:  func(c Config) string { return joinRoles(c.Roles) },
		},
		{
			Name: "lease", Env: "ATTUNE_LEASE", Flag: "lease", Default: "1m",
			Doc: "how long the bridge waits for a worker that is not heard from before it gives up what that runs, " +
				MinLease.String() + " to " + MaxLease.String(),
			parse: one(func(c *Config, v string) (err error) { c.Lease, err = duration(v, MinLease, MaxLease); return }),
			show:  func(c Config) string { return c.Lease.String() },
		},
		{
			Name: "worker.pool", Env: "ATTUNE_WORKER_POOL", Flag: "worker-pool", Default: "default",
			Doc:   "pool whose executions the worker takes",
			parse: one(func(c *Config, v string) (err error) { c.WorkerPool, err = poolName(v); return }),
			show:  func(c Config) string { return c.WorkerPool },
		},
		{
			Name: "worker.slots", Env: "ATTUNE_WORKER_SLOTS", Flag: "worker-slots", Default: "10",
			Doc:   "executions the worker runs at once, 1 to " + strconv.Itoa(MaxWorkerSlots),
			parse: one(func(c *Config, v string) (err error) { c.WorkerSlots, err = wholeNumber(v, 1, MaxWorkerSlots); return }),
			show:  func(c Config) string { return strconv.Itoa(c.WorkerSlots) },
		},
		{
			Name: "worker.name", Env: "ATTUNE_WORKER_NAME", Flag: "worker-name",
			Doc:   "name of the worker, unique among those that run at the same time; the host's name, '-' and the process id unless set",
			parse: one(func(c *Config, v string) (err error) { c.WorkerName, err = workerName(v); return }),
			show:  func(c Config) string { return c.WorkerName },
		},
		{
			Name: "data_dir", Env: "ATTUNE_DATA_DIR", Flag: "data-dir", Default: ".attune",
			Doc:   "folder for files of attune's own; created when missing",
			parse: one(func(c *Config, v string) error { c.DataDir = v; return nil }),
			show:  func(c Config) string { return c.DataDir },
		},
		{
			Name: "log.level", Env: "ATTUNE_LOG_LEVEL", Flag: "log-level", Default: "info",
			Doc:   "least level that is logged: debug, info, warn or error",
			parse: one(func(c *Config, v string) (err error) { c.LogLevel, err = logLevel(v); return }),
			show:  func(c Config) string { return strings.ToLower(c.LogLevel.String()) },
		},
		{
			Name: "log.format", Env: "ATTUNE_LOG_FORMAT", Flag: "log-format", Default: "text",
			Doc:   "text (coloured on a terminal) or json",
			parse: one(func(c *Config, v string) (err error) { c.LogFormat, err = oneOf(v, "text", "json"); return }),
			show:  func(c Config) string { return c.LogFormat },
		},
	}
}

// configFile is where the settings file is named. It is no [Setting]: a file cannot name itself.
const (
	configFileEnv  = "ATTUNE_CONFIG"
	configFileFlag = "config"
	configFileDoc  = "settings file (YAML); none is read unless named"
)

// fileFlag, fileEnv and fileName are how a secret is given by the path of a file that holds it.
func (s Setting) fileFlag() string {
	name := strings.TrimPrefix(s.Env, "ATTUNE_")
	return strings.ReplaceAll(strings.ToLower(name), "_", "-") + "-file"
}
func (s Setting) fileEnv() string  { return s.Env + "_FILE" }
func (s Setting) fileName() string { return s.Name + "_file" }

// usage is the text of the flag; pflag adds the default.
func (s Setting) usage() string { return s.Doc + " [" + s.Env + "]" }

// declare adds the flag of the setting.
func (s Setting) declare(set *pflag.FlagSet) {
	switch s.List {
	case ListNone:
		set.String(s.Flag, s.Default, s.usage())
	case ListWords:
		set.StringSlice(s.Flag, s.split(s.Default), s.usage())
	case ListPaths:
		set.StringArray(s.Flag, s.split(s.Default), s.usage())
	}
}

// fileUsage names the variable that holds the value itself too when no flag does.
func (s Setting) fileUsage() string {
	if s.Flag != "" {
		return "file that holds --" + s.Flag + " [" + s.fileEnv() + "]"
	}
	return "file that holds the " + s.Doc + " [" + s.fileEnv() + "; itself: " + s.Env + "]"
}

// one adapts a parser of a single value.
func one(parse func(*Config, string) error) func(*Config, []string) error {
	return func(c *Config, values []string) error {
		if values[0] == "" {
			return errors.New("is empty: give it a value or leave it out")
		}
		return parse(c, values[0])
	}
}

// Flags are the flags of one command, bound to the settings.
type Flags struct {
	set *pflag.FlagSet
}

// Bind declares one flag per setting that belongs to no single command, and --config. [Load] reads those that were given.
// With names, only the settings named get a flag, for a command that has no use for the others; the other layers are read
// for all of them.
func Bind(set *pflag.FlagSet, names ...string) *Flags {
	return bind(set, func(s Setting) bool {
		if len(names) > 0 {
			return slices.Contains(names, s.Name)
		}
		return s.Command == ""
	})
}

// BindCommand is [Bind] for one command: the settings that belong to it get a flag, too.
func BindCommand(set *pflag.FlagSet, command string) *Flags {
	return bind(set, func(s Setting) bool { return s.Command == "" || s.Command == command })
}

func bind(set *pflag.FlagSet, wanted func(Setting) bool) *Flags {
	set.String(configFileFlag, "", configFileDoc+" ["+configFileEnv+"]")
	for _, s := range Settings() {
		if !wanted(s) {
			continue
		}
		if s.Flag != "" {
			s.declare(set)
		}
		if s.Secret {
			set.String(s.fileFlag(), "", s.fileUsage())
		}
	}
	return &Flags{set: set}
}
