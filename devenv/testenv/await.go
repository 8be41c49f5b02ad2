package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/attune-go/attune/devenv/services/procfs"
)

// Await waits until every daemon of this user's finished runs, and every process that such a daemon started, has ended.
// It deletes the files of killed daemons. When ctx ends, Await returns the remaining processes. It ignores unfinished
// runs.
func Await(ctx context.Context) (left []string, err error) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		left, err = leftovers()
		if err != nil || len(left) == 0 {
			return left, err
		}
		select {
		case <-ctx.Done():
			return left, nil
		case <-tick.C:
		}
	}
}

// leftovers lists the daemons and other processes of finished runs.
func leftovers() ([]string, error) {
	locks, err := filepath.Glob(filepath.Join(tempDir(), namePrefix+strconv.Itoa(os.Getuid())+"-*.lock"))
	if err != nil {
		return nil, err
	}
	var left []string
	for _, path := range locks {
		run, err := parseRun(strings.TrimSuffix(path, ".lock"))
		if err != nil || !run.over() {
			continue
		}
		remains, err := run.remains()
		if err != nil {
			return nil, err
		}
		left = append(left, remains...)
	}
	return left, nil
}

// remains lists the live processes of a finished run. Without any, it deletes the files of the run.
func (r run) remains() ([]string, error) {
	lock, err := r.acquire()
	switch {
	case errors.Is(err, errLocked):
		return append([]string{"the daemon of " + r.base}, r.processes()...), nil
	case err != nil:
		return nil, err
	}
	defer lock.Close()
	if alive := r.processes(); len(alive) > 0 {
		return alive, nil
	}
	return nil, r.remove()
}

// processes lists the processes whose working folder is inside the folder of the run.
func (r run) processes() []string {
	var found []string
	for pid, stat := range procfs.All() {
		folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		if err != nil || !stat.Running() || !strings.HasPrefix(folder, r.base+string(filepath.Separator)) {
			continue
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // the process may end meanwhile
		found = append(found, fmt.Sprintf("process %d: %s", pid, strings.ReplaceAll(string(command), "\x00", " ")))
	}
	slices.Sort(found)
	return found
}
