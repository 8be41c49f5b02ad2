// Package e2e tests attune from outside: the built binary, over HTTP, on real PostgreSQL, RabbitMQ and Temporal. The
// package contains only tests.
package e2e
