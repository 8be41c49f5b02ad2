package services

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	rabbitStart = 3 * time.Minute
	// rabbitUser administers the broker.
	rabbitUser = "attune"
	rabbitNode = "attune@localhost" // also the name of the data folder, so it never changes
)

// RabbitMQConfig says how to run RabbitMQ.
type RabbitMQConfig struct {
	// Dir holds the data, the password, the configuration and the log, and is made private ([PrivateDir]). Existing data is
	// used.
	Dir string
	// Port for AMQP on 127.0.0.1; 0 chooses a free one.
	Port int
	// PortAdvice ends the message about a taken port and says how to choose another.
	PortAdvice string
	// Management also starts the HTTP API and the management pages, on ManagementPort of 127.0.0.1 (0 chooses a free port).
	// It adds about two seconds to the start.
	Management     bool
	ManagementPort int
	// Users are users with few rights, beside the administrator.
	Users []RabbitMQUser
	// Ephemeral switches off protection against a crash of the machine, and makes Stop end the broker at once.
	Ephemeral bool
}

// RabbitMQ is a running broker. It listens on loopback, and each of its users has a password.
type RabbitMQ struct {
	service
	config       RabbitMQConfig
	port         *port
	management   *port
	names        *port // of the name service
	distribution *port // of Erlang's clustering
	programs     rabbitPrograms
	passwords    passwords
}

// StartRabbitMQ starts RabbitMQ and returns when the broker accepts connections. ctx bounds the start only. Data without
// a password is an [OldDataError].
func StartRabbitMQ(ctx context.Context, config RabbitMQConfig) (*RabbitMQ, error) {
	ctx, cancel := within(ctx, rabbitStart, "RabbitMQ")
	defer cancel()
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of RabbitMQ: %w", err)
	}
	config.Dir = dir
	r := &RabbitMQ{
		config:       config,
		port:         newPort("RabbitMQ", config.Port, config.PortAdvice),
		management:   newPort("RabbitMQ's management", config.ManagementPort, ""),
		names:        newPort("RabbitMQ's name service", 0, ""),
		distribution: newPort("RabbitMQ's clustering", 0, ""),
	}
	r.service.name, r.service.ephemeral, r.service.launch = "RabbitMQ", config.Ephemeral, r.run
	if r.programs, err = findRabbitMQ(debianRabbitMQ); err != nil {
		return nil, err
	}
	if err := privateDir(dir, nil); err != nil {
		return nil, fmt.Errorf("folder of RabbitMQ: %w", err)
	}
	if r.passwords, err = loadPasswords(dir, rabbitHasData(dir), config.userNames()...); err != nil {
		return nil, err
	}
	ports := []*port{r.port, r.names, r.distribution}
	if config.Management {
		ports = append(ports, r.management)
	}
	if err := startOn(ctx, ports, r.begin); err != nil {
		return nil, err
	}
	return r, nil
}

// rabbitHasData reports whether a broker has run in the folder.
func rabbitHasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "data", rabbitNode))
	return err == nil
}

// URL returns the address of the default vhost for the administrator.
func (r *RabbitMQ) URL() string { return r.UserURL(rabbitUser) }

// UserURL returns the address of the default vhost for one of [RabbitMQConfig].Users.
func (r *RabbitMQ) UserURL(name string) string {
	return "amqp://" + url.UserPassword(name, r.passwords[name]).String() + "@" + r.port.address() + "/"
}

func (r *RabbitMQ) login() *url.Userinfo {
	return url.UserPassword(rabbitUser, r.passwords[rabbitUser])
}

// ManagementURL returns the address of the management pages and, below /api, of the HTTP API; empty without Management.
func (r *RabbitMQ) ManagementURL() string {
	if !r.config.Management {
		return ""
	}
	return "http://" + r.login().String() + "@" + r.management.address()
}

// run starts the name service, then the broker, and waits until both answer.
//
// By default Erlang starts a name service as a daemon that stays for good. So run disables that and starts a name service
// that ends with the broker.
func (r *RabbitMQ) run(ctx context.Context) ([]*process, error) {
	if err := r.configure(); err != nil {
		return nil, err
	}
	epmd, err := start(r.command("epmd", r.programs.epmd, []string{"-port", r.names.String()}))
	if err != nil {
		return nil, err
	}
	if err := epmd.ready(ctx, r.names.probe); err != nil {
		return []*process{epmd}, err
	}
	server, err := start(r.command(r.name, r.programs.server, []string{"-noinput"}))
	if err != nil {
		return []*process{epmd}, err
	}
	return []*process{epmd, server}, server.ready(ctx, r.probe)
}

// command describes a program of the broker. The broker's own rabbitmq-env explains the variables.
func (r *RabbitMQ) command(name, path string, args []string) command {
	return command{
		name: name, path: path, args: args, dir: r.config.Dir,
		env:      r.environment(),
		log:      filepath.Join(r.config.Dir, strings.ToLower(name)+".log"),
		graceful: syscall.SIGTERM, // takes seconds
		discard:  syscall.SIGKILL,
		orphaned: syscall.SIGKILL,
	}
}

// environment keeps every file of the broker in its folder and every port on loopback.
func (r *RabbitMQ) environment() []string {
	in := func(name string) string { return filepath.Join(r.config.Dir, name) }
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"LC_ALL=C.UTF-8",
		"HOME=" + in("home"), // holds the Erlang cookie
		"ERL_EPMD_PORT=" + r.names.String(),
		"ERL_EPMD_ADDRESS=" + loopback,
		"ERL_AFLAGS=-start_epmd false",
		"ERL_CRASH_DUMP_SECONDS=0",
		"RABBITMQ_NODENAME=" + rabbitNode,
		"RABBITMQ_DIST_PORT=" + r.distribution.String(),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		// With this variable the start script replaces itself by the broker; otherwise the broker would be a child of
		// the script. "-noinput" on the command line switches the input off again.
		"RABBITMQ_ALLOW_INPUT=true",
		"RABBITMQ_CONF_ENV_FILE=" + in("conf/rabbitmq-env.conf"),
		"RABBITMQ_CONFIG_FILE=" + in("conf/rabbitmq.conf"),
		"RABBITMQ_CONFIG_FILES=" + in("conf/conf.d"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + in("conf/advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("conf/enabled_plugins"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + in("generated"),
		"RABBITMQ_SCHEMA_DIR=" + in("schema"),
		"RABBITMQ_PLUGINS_EXPAND_DIR=" + in("plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("data"),
		"RABBITMQ_LOG_BASE=" + in("log"),
		"RABBITMQ_LOGS=-",
		"RABBITMQ_PID_FILE=" + in("broker.pid"),
	}
}

// Environ returns the environment in which rabbitmqctl reaches the broker. The broker's own rabbitmqctl is first on PATH: that of a
// distribution can change the user, and so the home folder with the secret of the node.
func (r *RabbitMQ) Environ() []string {
	path := filepath.Dir(r.programs.server) + string(filepath.ListSeparator) + os.Getenv("PATH")
	return append(r.environment(), "PATH="+path)
}

// configure writes the configuration. It does so at every start, because the ports may have changed.
func (r *RabbitMQ) configure() error {
	for _, folder := range []string{"home", "conf/conf.d", "generated", "schema", "data", "log"} {
		if err := os.MkdirAll(filepath.Join(r.config.Dir, folder), 0o700); err != nil {
			return fmt.Errorf("folder of RabbitMQ: %w", err)
		}
	}
	files := map[string]string{
		"conf/rabbitmq-env.conf": "",
		"conf/enabled_plugins":   "[].\n",
		"conf/advanced.config":   r.settings(),
	}
	definitions, err := r.definitions()
	if err != nil {
		return err
	}
	files[definitionsFile] = definitions
	if r.config.Management {
		files["conf/enabled_plugins"] = "[rabbitmq_management].\n"
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(r.config.Dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("configuration of RabbitMQ: %w", err)
		}
	}
	return r.writeCookie()
}

// settings returns Erlang terms, because the broker takes a second to read its more common plain format.
func (r *RabbitMQ) settings() string {
	const terms = `[
  {rabbit, [
    {tcp_listeners, [{%[1]q, %[2]s}]},
    {load_definitions, %[5]q},
    {log, [{console, [{enabled, true}, {level, info}]}, {file, [{file, false}]}]}
  ]},
  {rabbitmq_management, [{tcp_config, [{ip, %[1]q}, {port, %[3]s}]}]},
  {ra, [{wal_sync_method, %[4]s}]}
].
`
	sync := "datasync" // the default
	if r.config.Ephemeral {
		sync = "none" // no data has to survive a crash of the machine
	}
	return fmt.Sprintf(terms, loopback, r.port, r.management, sync, filepath.Join(r.config.Dir, definitionsFile))
}

// writeCookie creates a secret for the node once. Without it, another node of this user could join the node.
func (r *RabbitMQ) writeCookie() error {
	path := filepath.Join(r.config.Dir, "home", ".erlang.cookie")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.WriteFile(path, []byte(rand.Text()), 0o400); err != nil {
		return fmt.Errorf("secret of the RabbitMQ node: %w", err)
	}
	return nil
}

// probe opens a connection and, with Management, calls the HTTP API.
func (r *RabbitMQ) probe(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	conn, err := amqp.DialConfig(r.URL(), amqp.Config{Dial: func(network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.SetDeadline(deadline)
	}})
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil || !r.config.Management {
		return err
	}
	return r.getPage(ctx, "/api/vhosts")
}

// probe connects to the port and closes the connection.
func (p *port) probe(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", p.address())
	if err != nil {
		return err
	}
	return conn.Close()
}

// getPage requests a page from the management server.
func (r *RabbitMQ) getPage(ctx context.Context, page string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ManagementURL()+page, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", page, response.Status)
	}
	return nil
}
