package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"syscall"

	"github.com/attune-go/attune/devenv/services/procfs"
)

// run is one run of the go command, which all its test binaries share.
//
// The base path, in [tempDir], names the run. The folder of that name holds the services and the daemon's socket. The daemon locks base
// + ".lock" for its lifetime and logs to base + ".log".
type run struct {
	base    string
	parent  int
	started string // when the parent started; the system reuses process ids, but not with the same start time
}

// currentRun returns the run of this test binary.
func currentRun() run {
	parent := os.Getppid()
	started := "0"
	if stat, ok := procfs.Read(parent); ok {
		started = stat.Started
	}
	name := fmt.Sprintf("%s%d-%d-%s", namePrefix, os.Getuid(), parent, started)
	return run{base: filepath.Join(tempDir(), name), parent: parent, started: started}
}

const namePrefix = "attune-testenv-"

// runName matches the base name of a run: user, parent, start of the parent.
func runName() *regexp.Regexp {
	return regexp.MustCompile(`^` + namePrefix + `(\d+)-(\d+)-(\d+)$`)
}

// parseRun is the inverse of currentRun.
func parseRun(base string) (run, error) {
	parts := runName().FindStringSubmatch(filepath.Base(base))
	if parts == nil {
		return run{}, fmt.Errorf("%q does not name a test run", base)
	}
	parent, err := strconv.Atoi(parts[2])
	if err != nil {
		return run{}, fmt.Errorf("%q does not name a test run: %w", base, err)
	}
	return run{base: base, parent: parent, started: parts[3]}, nil
}

// over reports whether the go command of the run has ended.
func (r run) over() bool {
	if runtime.GOOS != "linux" {
		return errors.Is(syscall.Kill(r.parent, 0), syscall.ESRCH)
	}
	stat, ok := procfs.Read(r.parent)
	return !ok || stat.Started != r.started || !stat.Running()
}

func (r run) socket() string { return filepath.Join(r.base, "daemon.sock") }
func (r run) log() string    { return r.base + ".log" }
func (r run) lock() string   { return r.base + ".lock" }

// errLocked means that another process has locked the run.
var errLocked = errors.New("the run has a daemon")

// acquire locks the run, or returns errLocked. The lock ends with the process at the latest.
func (r run) acquire() (*os.File, error) {
	for {
		file, err := os.OpenFile(r.lock(), os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			file.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, fmt.Errorf("lock %q: %w", r.lock(), err)
		}
		// Between open and lock, an ending daemon may have removed the file: then this lock would exclude no other process.
		locked, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, err
		}
		if current, err := os.Stat(r.lock()); err == nil && os.SameFile(locked, current) {
			return file, nil
		}
		file.Close()
	}
}

// remove deletes the files of the run, the lock last. The caller must hold the lock.
func (r run) remove() error {
	return errors.Join(os.RemoveAll(r.base), os.RemoveAll(r.log()), os.Remove(r.lock()))
}
