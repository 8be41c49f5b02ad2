// Package bench measures attune as a whole: the real binary, from the API to the release, on real PostgreSQL, RabbitMQ
// and Temporal. In the same run it measures the bare engine on the same Temporal server. The package contains only
// benchmarks.
//
//	make bench BENCH=Whole
//
// A benchmark does not depend on speed and never fails because it is slow. It fails when a queue breaks a promise: after
// every round it checks the rows of the queue like `attune queue verify`. docs/performance.md explains the measurements
// and their clocks.
package bench
