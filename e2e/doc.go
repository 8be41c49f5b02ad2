// Package e2e tests the program as people use it: the built binary, over HTTP, on real PostgreSQL, RabbitMQ and Temporal.
// It has no code of its own, only tests.
package e2e
