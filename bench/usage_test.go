package bench_test

import (
	"os"
	"time"

	"github.com/attune-go/attune/devenv/services/procfs"
)

// part is a consumer of processor time.
type part int

const (
	partAttune   part = iota // the attune process, without the processes of its actions
	partTemporal             // the server
	partPostgres             // the server with all its backends
	partRabbitMQ             // the broker with its helpers
	partWork                 // the processes of actions
	partLoad                 // this benchmark: it posts events, reads attune's log, and runs the worker of the bare engine
	parts
)

func (p part) String() string {
	return [parts]string{"attune", "Temporal", "PostgreSQL", "RabbitMQ", "work processes", "benchmark"}[p]
}

// usage is processor time by part.
type usage [parts]time.Duration

// service is the sum for attune and the three services.
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

// per divides u by n.
func (u usage) per(n int) usage {
	for p := range u {
		u[p] /= time.Duration(n)
	}
	return u
}

// usage reads the processor time of all parts; zero on systems without /proc.
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

// ofFamilies sums the processor time of processes and their descendants, ended ones included.
func ofFamilies(pids []int) (sum time.Duration) {
	for _, pid := range pids {
		for _, member := range procfs.Family(pid) {
			used, _ := procfs.ReadUsage(member) // a process that ends meanwhile counts as waited for
			sum += used.Sum()
		}
	}
	return sum
}
