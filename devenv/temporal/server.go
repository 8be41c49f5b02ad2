package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "active"
)

// newServer runs the four services of Temporal in one process. They find each other by fixed addresses, so the server
// needs no ports for membership, and none for metrics and profiles.
func newServer(o options, logger log.Logger) (temporal.Server, error) {
	database, err := o.database()
	if err != nil {
		return nil, err
	}
	if err := createNamespaces(database, o); err != nil {
		return nil, err
	}
	return temporal.NewServer(
		temporal.WithConfig(o.config(database)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(map[primitives.ServiceName]static.Hosts{
			primitives.FrontendService: static.SingleLocalHost(o.frontend()),
			primitives.HistoryService:  static.SingleLocalHost(local(o.history)),
			primitives.MatchingService: static.SingleLocalHost(local(o.matching)),
			primitives.WorkerService:   static.SingleLocalHost(local(o.worker)),
		}),
		temporal.WithDynamicConfigClient(o.settings()),
		temporal.WithCustomMetricsHandler(metrics.NoopMetricsHandler),
		temporal.WithLogger(logger),
	)
}

func local(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// database describes the SQLite database and creates its schema.
//
// A database file uses WAL mode. Acknowledged writes survive a crash of the process at any moment. The disk is flushed
// only at checkpoints, so the last writes may be lost when the machine crashes.
func (o options) database() (*config.SQL, error) {
	if o.dbFilename == "" {
		return &config.SQL{
			PluginName:        sqlite.PluginName,
			DatabaseName:      uuid.NewString(),
			ConnectAttributes: map[string]string{"mode": "memory", "cache": "shared"},
		}, nil
	}
	path, err := filepath.Abs(o.dbFilename)
	if err != nil {
		return nil, fmt.Errorf("--db-filename: %w", err)
	}
	database := &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: path,
		ConnectAttributes: map[string]string{
			"mode": "rwc", "journal_mode": "wal", "synchronous": "normal", "busy_timeout": "10000",
		},
	}
	return database, setupFile(database, path)
}

// setupFile creates a new database under a temporary name, so that an interrupted start leaves no database without
// tables.
func setupFile(database *config.SQL, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	} else if !os.IsNotExist(err) {
		return fmt.Errorf("--db-filename: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("--db-filename: %w", err)
	}
	fresh := *database
	fresh.DatabaseName = path + ".new"
	fresh.ConnectAttributes = map[string]string{"mode": "rwc"}
	if err := os.RemoveAll(fresh.DatabaseName); err != nil {
		return fmt.Errorf("--db-filename: %w", err)
	}
	if err := sqliteschema.SetupSchema(&fresh); err != nil {
		return fmt.Errorf("create the database %q: %w", path, err)
	}
	return os.Rename(fresh.DatabaseName, path)
}

func (o options) config(database *config.SQL) *config.Config {
	disabled := config.ArchivalNamespaceDefaults{
		History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
		Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
	}
	service := func(ip string, port int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: ip}}
	}
	return &config.Config{
		Global: config.Global{
			Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: loopback},
		},
		Persistence: config.Persistence{
			DefaultStore:     sqlite.PluginName,
			VisibilityStore:  sqlite.PluginName,
			NumHistoryShards: int32(o.shards),
			DataStores:       map[string]config.DataStore{sqlite.PluginName: {SQL: database}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: o.frontend()},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			string(primitives.FrontendService): service(o.ip, o.port),
			string(primitives.HistoryService):  service(loopback, o.history),
			string(primitives.MatchingService): service(loopback, o.matching),
			string(primitives.WorkerService):   service(loopback, o.worker),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		PublicClient:      config.PublicClient{HostPort: o.frontend()},
		NamespaceDefaults: config.NamespaceDefaults{Archival: disabled},
	}
}

// settings raises the rate limits, and makes namespaces and search attributes usable as soon as they are created. It
// keeps every limit on size and number. The command line overrides it.
func (o options) settings() dynamicconfig.StaticClient {
	const highRate = 100_000
	settings := dynamicconfig.StaticClient{
		dynamicconfig.FrontendPersistenceMaxQPS.Key(): highRate,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():  highRate,
		dynamicconfig.MatchingPersistenceMaxQPS.Key(): highRate,
		dynamicconfig.WorkerPersistenceMaxQPS.Key():   highRate,

		dynamicconfig.VisibilityPersistenceMaxReadQPS.Key():  highRate,
		dynamicconfig.VisibilityPersistenceMaxWriteQPS.Key(): highRate,

		dynamicconfig.FrontendRPS.Key():                                                        highRate,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():                                 highRate,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key():                       highRate,
		dynamicconfig.FrontendNamespaceReplicationInducingAPIsRPS.Key():                        highRate, // RegisterNamespace
		dynamicconfig.FrontendMaxNamespaceNamespaceReplicationInducingAPIsRPSPerInstance.Key(): highRate,

		dynamicconfig.MatchingRPS.Key(): highRate,
		dynamicconfig.HistoryRPS.Key():  highRate,

		dynamicconfig.NamespaceCacheRefreshInterval.Key():           time.Second,
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
	}
	for key, value := range o.dynamicConfig {
		settings[dynamicconfig.MakeKey(key)] = value
	}
	return settings
}
