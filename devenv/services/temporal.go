package services

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

const temporalStart = 2 * time.Minute

// TemporalConfig says how to run a development Temporal server with the namespace "default".
type TemporalConfig struct {
	// Dir holds the database and the log, and is made private ([PrivateDir]). An existing database is used.
	Dir string
	// InMemory uses no database file: a restart loses all data.
	InMemory bool
	// Ephemeral makes Stop end the server at once.
	Ephemeral bool
	// Port of the frontend on 127.0.0.1; 0 chooses a free one.
	Port int
	// PortAdvice ends the message about a taken port and says how to choose another. UIPortAdvice does so for UIPort.
	PortAdvice, UIPortAdvice string
	// UI also starts the web interface, on UIPort of 127.0.0.1 (0 chooses a free port).
	UI     bool
	UIPort int
	// Binary is the server program; if empty, [FindTemporal] finds one.
	Binary string
	// SearchAttributes of the namespace "default": name to type, for example "QueueDepth": "Int".
	SearchAttributes map[string]string
	// DynamicConfig overrides settings of the server: key to JSON value.
	DynamicConfig map[string]string
	// Note receives a line when the start takes long because the program must be built; nil drops the line.
	Note func(string)
}

// Temporal is a running Temporal server. It listens on loopback and has no passwords, so every user of this machine can
// use it.
type Temporal struct {
	service
	config TemporalConfig
	port   *port
	ui     *port
	binary string
}

// StartTemporal starts Temporal and returns when its frontend answers. ctx bounds the start only.
func StartTemporal(ctx context.Context, config TemporalConfig) (*Temporal, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of Temporal: %w", err)
	}
	config.Dir = dir
	if err := privateDir(dir, nil); err != nil {
		return nil, fmt.Errorf("folder of Temporal: %w", err)
	}
	t := &Temporal{
		config: config,
		port:   newPort("Temporal", config.Port, config.PortAdvice),
		ui:     newPort("Temporal's web interface", config.UIPort, config.UIPortAdvice),
		binary: config.Binary,
	}
	t.service.name, t.service.ephemeral, t.service.launch = "Temporal", config.InMemory || config.Ephemeral, t.run
	if t.binary == "" {
		if t.binary, err = FindTemporal(ctx, config.Note); err != nil {
			return nil, err
		}
	} else if !executable(t.binary) {
		return nil, missingTemporal(t.binary, "only at this path, which the configuration names")
	}
	ctx, cancel := within(ctx, temporalStart, "Temporal")
	defer cancel()
	ports := []*port{t.port}
	if config.UI {
		ports = append(ports, t.ui)
	}
	if err := startOn(ctx, ports, t.begin); err != nil {
		return nil, err
	}
	return t, nil
}

// Address returns host:port of the frontend.
func (t *Temporal) Address() string { return t.port.address() }

// UIURL returns the address of the web interface; empty without UI.
func (t *Temporal) UIURL() string {
	if !t.config.UI {
		return ""
	}
	return "http://" + t.ui.address()
}

// run starts the server and waits until the frontend and, with UI, the web interface answer.
func (t *Temporal) run(ctx context.Context) ([]*process, error) {
	server, err := start(command{
		name: t.name, path: t.binary, args: t.arguments(), dir: t.config.Dir,
		env:      os.Environ(),
		log:      filepath.Join(t.config.Dir, "temporal.log"),
		graceful: syscall.SIGTERM, // takes about a second
		discard:  syscall.SIGKILL,
		orphaned: syscall.SIGKILL,
	})
	if err != nil {
		return nil, err
	}
	return []*process{server}, server.ready(ctx, t.probe)
}

// arguments suit both attune-temporal and the `temporal` CLI, whose development server has the same flags under a
// subcommand.
func (t *Temporal) arguments() []string {
	var args []string
	if name := filepath.Base(t.binary); name == "temporal" || name == "temporal.exe" {
		args = append(args, "server", "start-dev")
	}
	args = append(args, "--ip", loopback, "--port", t.port.String(), "--namespace", client.DefaultNamespace,
		"--log-level", "warn")
	if t.config.UI {
		args = append(args, "--ui-port", t.ui.String())
	} else {
		args = append(args, "--headless")
	}
	if !t.config.InMemory {
		args = append(args, "--db-filename", filepath.Join(t.config.Dir, "temporal.db"))
	}
	for _, name := range slices.Sorted(maps.Keys(t.config.SearchAttributes)) {
		args = append(args, "--search-attribute", name+"="+t.config.SearchAttributes[name])
	}
	for _, key := range slices.Sorted(maps.Keys(t.config.DynamicConfig)) {
		args = append(args, "--dynamic-config-value", key+"="+t.config.DynamicConfig[key])
	}
	return args
}

// probe checks the frontend's health, the namespace, and with UI the web interface.
func (t *Temporal) probe(ctx context.Context) error {
	c, err := client.NewLazyClient(client.Options{
		HostPort: t.Address(),
		Logger:   sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return err
	}
	if err := t.checkNamespace(ctx, c); err != nil {
		return err
	}
	if t.config.UI {
		return t.ui.probe(ctx)
	}
	return nil
}

// checkNamespace checks the namespace and its search attributes, which attune-temporal creates after its start.
func (t *Temporal) checkNamespace(ctx context.Context, c client.Client) error {
	describe := &workflowservice.DescribeNamespaceRequest{Namespace: client.DefaultNamespace}
	if _, err := c.WorkflowService().DescribeNamespace(ctx, describe); err != nil {
		return err
	}
	if len(t.config.SearchAttributes) == 0 {
		return nil
	}
	list := &operatorservice.ListSearchAttributesRequest{Namespace: client.DefaultNamespace}
	present, err := c.OperatorService().ListSearchAttributes(ctx, list)
	if err != nil {
		return err
	}
	for name := range t.config.SearchAttributes {
		if _, found := present.GetCustomAttributes()[name]; !found {
			return fmt.Errorf("search attribute %q does not exist yet", name)
		}
	}
	return nil
}
