package bench_test

import (
	"os"
	"time"

	"github.com/attune-go/attune/devenv/services/procfs"
)

// part is a part of the whole that takes processor time.
type part int

const (
	partAttune   part = iota // the attune process, without the processes of its actions
	partTemporal             // the server
	partPostgres             // the server with all its backends
	partRabbitMQ             // the broker with its helpers
	partWork                 // the processes of actions
	partLoad                 // this benchmark: it posts events, reads attune's log, and is the worker of the bare engine
	parts
)

func (p part) String() string {
	return [parts]string{"attune", "Temporal", "PostgreSQL", "RabbitMQ", "work processes", "benchmark"}[p]
}

// usage is processor time by part.
type usage [parts]time.Duration

// service is the sum of what attune and the three services take.
func (u usage) service() time.Duration {
	return u[partAttune] + u[partTemporal] + u[partPostgres] + u[partRabbitMQ]
}

func (u usage) add(other usage) usage {
	for p := range u {
		u[p] += other[p]
	}
	return u
}

func (u usage) minus(other usage) usage {
	for p := range u {
		u[p] -= other[p]
	}
	return u
}

// per is the share of one of n.
func (u usage) per(n int) usage {
	for p := range u {
		u[p] /= time.Duration(n)
	}
	return u
}

// usage reads what all parts have taken so far. On systems without /proc that is nothing.
func (w *world) usage() (u usage) {
	u[partTemporal] = ofFamilies(w.services.Temporal.PIDs())
	u[partPostgres] = ofFamilies(w.services.Postgres.PIDs())
	u[partRabbitMQ] = ofFamilies(w.services.RabbitMQ.PIDs())
	if w.attune != nil {
		attune, _ := procfs.ReadUsage(w.attune.PID())
		u[partAttune], u[partWork] = attune.Own, attune.Waited
	}
	load, _ := procfs.ReadUsage(os.Getpid())
	u[partLoad] = load.Own
	return u
}

// ofFamilies sums what processes and all below them have taken, those included that have ended and were waited for.
func ofFamilies(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		for _, member := range procfs.Family(pid) {
			used, _ := procfs.ReadUsage(member) // it may end meanwhile, and then counts as waited for
			sum += used.Sum()
		}
	}
	return sum
}
