// Package bench measures attune as a whole: the real binary, from the API to the release, on real PostgreSQL, RabbitMQ and
// Temporal, beside the bare engine on the same Temporal server in the same run. It has no code of its own, only benchmarks.
//
//	make bench BENCH=Whole
//
// A benchmark does not depend on speed and never fails for being slow. It fails when a queue breaks a promise: after every round
// the rows of the queue are judged like `attune queue verify` does. docs/performance.md says what is measured, and by which clock.
package bench
