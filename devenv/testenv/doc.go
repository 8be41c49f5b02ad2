// Package testenv provides tests with real services: PostgreSQL, RabbitMQ and Temporal.
//
// A package whose tests need a service calls [Main] in its TestMain. Then each test requests what it needs. Each call
// returns a resource that no other test shares, and removes the resource when the test ends:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
//	func TestOutbox(t *testing.T) {
//		t.Parallel()
//		url := testenv.Postgres(t, testenv.Template{Name: "attune", Migrate: postgres.Migrate}) // a migrated database
//		broker := testenv.AMQP(t)                                                             // an empty vhost
//		address, namespace := testenv.Temporal(t)                                             // a new namespace
//		temporal := testenv.TemporalClient(t)                                                 // or a client of one
//		…
//	}
//
// A test that stops, kills or restarts a service starts its own with [Own], because all tests share the other services. A
// test that disturbs connections uses a [Proxy].
//
// # One set of services per run
//
// `go test ./...` runs many test binaries at once. They find each other through their common parent, the go command. The
// first test binary that needs a service starts the daemon of the run: the same test binary again, in a session of its
// own, where [Main] runs the daemon. The daemon starts each service at its first request. The daemon stops all services
// and ends when the go command has ended, or when no test binary was connected for a minute. If the daemon is killed, the
// kernel ends the services.
//
// The files of the services are in TMPDIR. If it is not set, they are in memory (/dev/shm) on Linux, where that has 4 GiB or more.
//
// The command in the folder await waits until the daemons of finished runs have ended; `make test` ends with it.
//
// # External services
//
// ATTUNE_TEST_POSTGRES_URL, ATTUNE_TEST_AMQP_URL and ATTUNE_TEST_TEMPORAL_ADDRESS each name an external service to use
// instead of a new one. If one is not set, ATTUNE_POSTGRES_URL, ATTUNE_AMQP_URL or TEMPORAL_ADDRESS is used. The
// PostgreSQL user must be allowed to create databases. Vhosts are created through RabbitMQ's management API, by default
// at port 15672 of the broker's host, otherwise at ATTUNE_TEST_RABBITMQ_API.
package testenv
