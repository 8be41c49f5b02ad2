package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
)

const (
	defaultPort      = 7233
	defaultUIPort    = 8233
	defaultShards    = 4
	defaultRetention = 72 * time.Hour
	minRetention     = 24 * time.Hour // the server's minimum for closed workflows
)

// options are the options of the command line.
type options struct {
	ip               string
	port             int // of the frontend
	uiPort           int // 0: no web interface
	history          int // ports inside the server, chosen by choosePorts
	matching         int
	worker           int
	dbFilename       string // empty: in memory
	shards           int
	namespaces       []string
	searchAttributes map[string]enumspb.IndexedValueType
	retention        time.Duration
	logLevel         string
	dynamicConfig    map[string]any
	version          bool
}

func parseOptions(args []string, output io.Writer) (options, error) {
	o := options{
		searchAttributes: map[string]enumspb.IndexedValueType{},
		dynamicConfig:    map[string]any{},
	}
	flags := flag.NewFlagSet("attune-temporal", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.ip, "ip", "127.0.0.1", "`address` the frontend and the web interface listen on")
	flags.IntVar(&o.port, "port", defaultPort, "`port` of the frontend; 0 chooses a free one")
	flags.IntVar(&o.uiPort, "ui-port", defaultUIPort, "`port` of the web interface; 0 disables it")
	headless := flags.Bool("headless", false, "disable the web interface")
	flags.StringVar(&o.dbFilename, "db-filename", "", "SQLite `file`, created if needed; empty: in memory")
	flags.IntVar(&o.shards, "shards", defaultShards, "history shards of a new database; an existing one keeps its `number`")
	flags.Func("namespace", "`name` of a namespace to create; may be repeated (default \"default\")", o.addNamespace)
	flags.Func("search-attribute", "search attribute of these namespaces as `Name=Type`; may be repeated", o.addSearchAttribute)
	flags.DurationVar(&o.retention, "retention", defaultRetention, "how long these namespaces keep closed workflows")
	flags.StringVar(&o.logLevel, "log-level", "error", "debug, info, warn or error")
	flags.Func("dynamic-config-value", "server setting as `key=JSON`; may be repeated", o.addDynamicConfig)
	flags.BoolVar(&o.version, "version", false, "print the version of the server and exit")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *headless {
		o.uiPort = 0
	}
	if len(o.namespaces) == 0 {
		o.namespaces = []string{"default"}
	}
	return o, o.validate(flags.Args())
}

func (o *options) validate(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case net.ParseIP(o.ip) == nil:
		return fmt.Errorf("--ip %q is not an IP address", o.ip)
	case o.port < 0 || o.port > 65535:
		return fmt.Errorf("--port %d is not a port", o.port)
	case o.uiPort < 0 || o.uiPort > 65535:
		return fmt.Errorf("--ui-port %d is not a port", o.uiPort)
	case o.shards < 1:
		return fmt.Errorf("--shards %d: use at least 1", o.shards)
	case o.retention < minRetention:
		return fmt.Errorf("--retention %s: the server's minimum is %s", o.retention, minRetention)
	}
	return nil
}

func (o *options) addNamespace(name string) error {
	if name == "" {
		return errors.New("a namespace needs a name")
	}
	o.namespaces = append(o.namespaces, name)
	return nil
}

func (o *options) addSearchAttribute(value string) error {
	name, kind, found := strings.Cut(value, "=")
	if !found || name == "" {
		return errors.New("write it as Name=Type, for instance QueueDepth=Int")
	}
	parsed, err := enumspb.IndexedValueTypeFromString(kind)
	if err != nil {
		return fmt.Errorf("type %q is not one of Text, Keyword, Int, Double, Bool, Datetime, KeywordList", kind)
	}
	o.searchAttributes[name] = parsed
	return nil
}

func (o *options) addDynamicConfig(value string) error {
	key, encoded, found := strings.Cut(value, "=")
	if !found || key == "" {
		return errors.New("write it as key=JSON, for instance frontend.rps=5000")
	}
	decoder := json.NewDecoder(strings.NewReader(encoded))
	decoder.UseNumber()
	var parsed any
	if err := decoder.Decode(&parsed); err != nil {
		return fmt.Errorf("value of %q is not JSON (strings need quotes): %w", key, err)
	}
	o.dynamicConfig[key] = number(parsed)
	return nil
}

// number converts JSON numbers, at any depth, into int if they are whole: the server accepts no float for an int.
func number(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := strconv.Atoi(value.String()); err == nil {
			return whole
		}
		fraction, _ := value.Float64() // the decoder has checked the syntax
		return fraction
	case []any:
		for i := range value {
			value[i] = number(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = number(value[key])
		}
	}
	return value
}

// frontend returns the address for clients.
func (o *options) frontend() string { return net.JoinHostPort(o.ip, strconv.Itoa(o.port)) }

// summary returns the line that reports the successful start.
func (o *options) summary() string {
	database := "in memory"
	if o.dbFilename != "" {
		database = o.dbFilename
	}
	web := "none"
	if o.uiPort != 0 {
		web = "http://" + net.JoinHostPort(o.ip, strconv.Itoa(o.uiPort))
	}
	return fmt.Sprintf("attune-temporal: ready; frontend %s, web interface %s, namespaces %s, database %s",
		o.frontend(), web, strings.Join(o.namespaces, " "), database)
}
