package worker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// capability is a right of a process; see capabilities(7).
type capability struct {
	name string
	bit  uint
	// supervisor says that supervisors use the right, too. Only root passes its rights on to them without more.
	supervisor bool
}

// neededCapabilities are the rights of a worker that runs actions as another user: to start processes as that user and to kill them,
// to give the user its run folders, and to remove what the user has left there, also from folders that it has closed (DAC_OVERRIDE)
// or made sticky (FOWNER). limited says that actions have limits: the bound of the processes of the user (RLIMIT_NPROC) would also
// bind a supervisor that neither is root nor has SYS_RESOURCE.
func neededCapabilities(limited, root bool) []capability {
	needed := []capability{
		{"CAP_CHOWN", 0, false}, {"CAP_DAC_OVERRIDE", 1, false}, {"CAP_FOWNER", 3, false},
		{"CAP_KILL", 5, true}, {"CAP_SETGID", 6, true}, {"CAP_SETUID", 7, true},
	}
	if limited && !root {
		needed = append(needed, capability{"CAP_SYS_RESOURCE", 24, true})
	}
	return needed
}

// checkUsable returns an error that names the rights which the worker lacks to run processes as the user.
func (a *account) checkUsable(limited bool) error {
	root := os.Geteuid() == 0
	effective, err := effectiveCapabilities()
	if err != nil {
		return fmt.Errorf("read the capabilities of the worker: %w", err)
	}
	var missing []string
	for _, c := range neededCapabilities(limited, root) {
		if effective&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
		if c.supervisor && !root {
			a.ambient = append(a.ambient, uintptr(c.bit))
		}
	}
	if missing != nil {
		return fmt.Errorf("the worker may not run actions as another user: run it as root, or with the capabilities that it lacks: %s",
			strings.Join(missing, ", "))
	}
	return nil
}

// effectiveCapabilities returns the rights of the process, as bits.
func effectiveCapabilities() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\nCapEff:")
	text, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseUint(strings.TrimSpace(text), 16, 64)
}
