package worker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Defaults and bounds of a [Config].
const (
	DefaultSlots        = 10
	DefaultOutputLimit  = 64 << 10
	DefaultKillGrace    = 5 * time.Second
	DefaultOutputGrace  = time.Second
	DefaultStopGrace    = 30 * time.Second
	DefaultReportGrace  = 10 * time.Second
	DefaultClaimTimeout = 10 * time.Second

	MaxSlots = 1000 // each running action has a supervisor process

	// MinOutputLimit and MaxOutputLimit bound OutputLimit. JSON writes one byte as up to six. So a signed report with two outputs of
	// the maximum, and with one of them again as the result, has less than 14 MiB: [attune.MaxReportBody] is above that.
	MinOutputLimit = 1 << 10
	MaxOutputLimit = 768 << 10
)

// Config holds the settings of a [Worker]. Zero fields other than Name get their default.
type Config struct {
	// Name names the worker in its claims, for people. Use a name that no other live worker has.
	Name string
	// Pool is the pool whose requests the worker takes, for logs. Default: [attune.DefaultPool].
	Pool string
	// Slots is how many actions run at once, from 1 to [MaxSlots].
	Slots int
	// Packs maps the name of a pack to its folder. Relative folders are relative to the current folder.
	Packs map[string]string
	// Action returns an action of the packs. The worker runs it only if its digest is that of the attempt. Default: there is none.
	Action func(attune.Ref) (attune.Action, bool)
	// Limited says that actions of the packs have limits. The worker then prepares their enforcement at its start, which moves the
	// process into a cgroup of its own.
	Limited bool
	// Environ is the environment that actions get variables from, as "NAME=value". Default: os.Environ().
	Environ []string
	// AllowEnv says which packs may see which of these variables, besides [attune.CommonEnv]. Default: none.
	AllowEnv attune.EnvGrants
	// RunDir is the folder in which the worker creates the run folders of its attempts. At its start, a worker removes what
	// dead workers have left there. Default: a new temporary folder for each worker, of which nothing removes what a killed
	// worker leaves.
	RunDir string
	// User is the name or the id of the user of the system as which actions run. The worker then is root, or has the capabilities
	// that docs/operations.md lists, and the user has access to the folders of the packs and to RunDir. Default: the user of the worker.
	User string
	// OutputLimit is how many bytes of stdout, and as many of stderr, are kept: the first half and the last half.
	OutputLimit int
	// KillGrace is the time from SIGTERM to SIGKILL. After a lost lease, the time is at most 3/16 of the lease: with a lease
	// of 1 min, 11.25 s.
	KillGrace time.Duration
	// OutputGrace is how long children may write to the output of a process that has ended by itself, before SIGTERM.
	OutputGrace time.Duration
	// StopGrace is how long running actions may continue after the worker is told to stop.
	StopGrace time.Duration
	// ReportGrace is how long a stopping worker tries to publish reports after its last action has ended.
	ReportGrace time.Duration
	// ClaimTimeout bounds the wait for the reply to one claim. The wait for the reply to a renewal is a sixth of the
	// shortest lease, and at most ClaimTimeout. If 3/4 of the lease are over when the worker learns of a granted claim, the
	// worker does not run the attempt: make leases several times as long as ClaimTimeout.
	ClaimTimeout time.Duration
	// Reported is called with the status of every report that the broker has confirmed, for metrics. Default: does nothing.
	Reported func(context.Context, attune.ExecutionStatus)
}

// WithDefaults returns c with the default in every zero field except Name.
func (c Config) WithDefaults() Config {
	setDefault(&c.Pool, attune.DefaultPool)
	setDefault(&c.Slots, DefaultSlots)
	setDefault(&c.OutputLimit, DefaultOutputLimit)
	setDefault(&c.KillGrace, DefaultKillGrace)
	setDefault(&c.OutputGrace, DefaultOutputGrace)
	setDefault(&c.StopGrace, DefaultStopGrace)
	setDefault(&c.ReportGrace, DefaultReportGrace)
	setDefault(&c.ClaimTimeout, DefaultClaimTimeout)
	if c.Environ == nil {
		c.Environ = os.Environ()
	}
	if c.Action == nil {
		c.Action = func(attune.Ref) (attune.Action, bool) { return attune.Action{}, false }
	}
	if c.Reported == nil {
		c.Reported = func(context.Context, attune.ExecutionStatus) {}
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	switch {
	case strings.TrimSpace(c.Name) == "":
		return attune.Errorf(attune.CodeInvalid, "worker name is empty: use a name that no other live worker has")
	case c.Slots < 1 || c.Slots > MaxSlots:
		return attune.Errorf(attune.CodeInvalid, "worker slots %d: use 1 to %d", c.Slots, MaxSlots)
	case c.OutputLimit < MinOutputLimit || c.OutputLimit > MaxOutputLimit:
		return attune.Errorf(attune.CodeInvalid, "worker output limit of %d bytes: use %d to %d",
			c.OutputLimit, MinOutputLimit, MaxOutputLimit)
	}
	if err := attune.CheckText("worker name", c.Name, attune.MaxWorkerName); err != nil {
		return err
	}
	for name, d := range map[string]time.Duration{
		"kill grace": c.KillGrace, "output grace": c.OutputGrace, "stop grace": c.StopGrace,
		"report grace": c.ReportGrace, "claim timeout": c.ClaimTimeout,
	} {
		if d < 0 {
			return attune.Errorf(attune.CodeInvalid, "worker %s %s: use more than 0", name, d)
		}
	}
	return nil
}

// lastWait is how long the worker waits for its attempts to return after it has stopped reporting.
const lastWait = time.Second

// StopTime is the longest time that [Worker.Run] takes to return after its context has ended. Zero fields count with
// their defaults.
func (c Config) StopTime() time.Duration {
	c = c.WithDefaults()
	return c.StopGrace + c.endTime() + c.ReportGrace + lastWait
}

// endTime is the longest time to end a process, from SIGTERM to the end of its output.
func (c Config) endTime() time.Duration { return c.KillGrace + 2*c.OutputGrace }

// folders returns the folders of the packs as absolute paths.
func (c Config) folders() (map[string]string, error) {
	folders := make(map[string]string, len(c.Packs))
	for pack, dir := range c.Packs {
		if dir == "" {
			return nil, attune.Errorf(attune.CodeInvalid, "pack %q has an empty folder path: use the folder that holds its pack.yaml", pack)
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, attune.WrapError(attune.CodeInvalid, err, "folder %q of pack %q", dir, pack)
		}
		folders[pack] = abs
	}
	return folders, nil
}

// environ returns the environment by name. As in a shell, the last entry of a name counts.
func (c Config) environ() map[string]string {
	environ := make(map[string]string, len(c.Environ))
	for _, entry := range c.Environ {
		if name, value, found := strings.Cut(entry, "="); found && name != "" {
			environ[name] = value
		}
	}
	return environ
}
