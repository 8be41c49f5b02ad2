// Package testenv gives tests real services: PostgreSQL, RabbitMQ and Temporal.
//
// A package whose tests need one hands its TestMain over and then asks for what a test needs; each call returns
// something no other test shares, and takes it away when the test ends:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
//	func TestOutbox(t *testing.T) {
//		t.Parallel()
//		url := testenv.Postgres(t, testenv.Template{Name: "attune", Migrate: postgres.Migrate}) // a migrated database
//		broker := testenv.AMQP(t)                                                             // an empty vhost
//		address, namespace := testenv.Temporal(t)                                             // a fresh namespace
//		temporal := testenv.TemporalClient(t)                                                 // or a client of one
//		…
//	}
//
// A test that stops, kills or restarts a service starts its own with [Own]: the shared ones serve all tests. One that cuts
// connections off has a [Proxy] in between.
//
// # One set of services per run
//
// `go test ./...` runs many test binaries at once. They find each other through their common parent, the go command:
// the first one that needs a service starts a keeper (this same test binary, started again by [Main]) in a session of
// its own. The keeper starts each service when it is first asked for. It ends, taking every service with it, when the
// go command is gone (finished, interrupted or killed) or when no test binary has been connected for a minute. Should
// the keeper itself be killed, the kernel ends the services.
//
// The command in the folder await waits until the keepers of finished runs are gone; `make test` ends with it.
//
// # Services that already run
//
// ATTUNE_TEST_POSTGRES_URL, ATTUNE_TEST_AMQP_URL and ATTUNE_TEST_TEMPORAL_ADDRESS each name a service to use instead
// of starting one; without them, ATTUNE_POSTGRES_URL, ATTUNE_AMQP_URL and TEMPORAL_ADDRESS do. The PostgreSQL user must
// be allowed to create databases. Vhosts are created through RabbitMQ's
// management API, by default at port 15672 of the broker's host, otherwise at ATTUNE_TEST_RABBITMQ_API.
package testenv
