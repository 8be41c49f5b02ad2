package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
)

// commonVariables is what every process may see of the worker's environment.
func commonVariables() []string {
	return []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"}
}

// command is one process to run.
type command struct {
	path  string   // the file that is executed
	args  []string // argv, as the action writes it
	env   []string // the whole environment
	dir   string   // the pack's folder
	stdin []byte
}

// refusal says why an action cannot be started.
type refusal struct {
	reason  attune.Reason
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(reason attune.Reason, format string, args ...any) *refusal {
	return &refusal{reason: reason, message: fmt.Sprintf(format, args...)}
}

// commands makes commands of requests.
type commands struct {
	packs   map[string]string // name → absolute folder
	environ map[string]string
}

// of returns the command of a request. Its error is a *refusal.
func (c commands) of(m attune.ExecutionRequestedMessage) (command, error) {
	if len(m.Command) == 0 || m.Command[0] == "" {
		return command{}, refuse(attune.ReasonStart, "action %q has no command: give it one in its pack", m.Action)
	}
	if m.Timeout <= 0 {
		return command{}, refuse(attune.ReasonStart, "action %q has timeout %s: use more than 0", m.Action, m.Timeout)
	}
	dir, err := c.folder(m.Action.Pack())
	if err != nil {
		return command{}, err
	}
	path, err := c.executable(m.Action.Pack(), dir, m.Command[0])
	if err != nil {
		return command{}, err
	}
	env, err := c.environment(m)
	if err != nil {
		return command{}, err
	}
	return command{path: path, args: m.Command, env: env, dir: dir, stdin: parametersOf(m)}, nil
}

// parametersOf returns what the process reads on stdin. No parameters are an empty object, so that there is always
// something to parse.
func parametersOf(m attune.ExecutionRequestedMessage) []byte {
	if len(m.Parameters) == 0 {
		return []byte("{}")
	}
	return m.Parameters
}

// folder returns the folder of a pack without symbolic links.
func (c commands) folder(pack string) (string, error) {
	dir, known := c.packs[pack]
	if !known {
		return "", refuse(attune.ReasonExecutableNotFound, "this worker does not have pack %q: give it the pack's folder, "+
			"or set the action's pool to one whose workers have it", pack)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		if info, statErr := os.Stat(real); statErr == nil && info.IsDir() {
			return real, nil
		}
	}
	return "", refuse(attune.ReasonExecutableNotFound, "folder %q of pack %q is not there, or cannot be read by this worker", dir, pack)
}

// executable finds the file that name stands for: without a slash on PATH, with one inside the pack's folder.
func (c commands) executable(pack, dir, name string) (string, error) {
	if !strings.Contains(name, "/") {
		return c.program(name)
	}
	if filepath.IsAbs(name) {
		return "", refuse(attune.ReasonExecutableNotFound, "%q is an absolute path: put the file into the folder of pack %q and "+
			"name it relative to that, or name a program without a slash to look it up on PATH", name, pack)
	}
	path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", refuse(attune.ReasonExecutableNotFound, "pack %q has no file %q in %q: add it there, or correct the "+
			"action's command", pack, name, dir)
	case err != nil:
		return "", refuse(attune.ReasonStart, "file %q of pack %q: %v", name, pack, err)
	case !strings.HasPrefix(path, dir+string(filepath.Separator)):
		return "", refuse(attune.ReasonExecutableNotFound, "file %q leads out of the folder of pack %q: put the file itself "+
			"there, or name a program without a slash to look it up on PATH", name, pack)
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", refuse(attune.ReasonStart, "file %q of pack %q is not executable: chmod +x", name, pack)
	}
	return path, nil
}

// program looks name up on the PATH that the process will have. Relative folders on it do not count: what they
// mean depends on where the worker was started.
func (c commands) program(name string) (string, error) {
	for _, dir := range filepath.SplitList(c.environ["PATH"]) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", refuse(attune.ReasonExecutableNotFound, "program %q is not on the PATH of this worker (%s): install it there, "+
		"or write a path with a slash to run a file of the pack", name, c.environ["PATH"])
}

// environment returns all that the process may see, sorted. A variable that the worker does not have is left out.
func (c commands) environment(m attune.ExecutionRequestedMessage) ([]string, error) {
	env := []string{
		"ATTUNE_EXECUTION_ID=" + strconv.FormatInt(int64(m.Execution), 10),
		"ATTUNE_ENFORCEMENT_ID=" + strconv.FormatInt(int64(m.Enforcement), 10),
		"ATTUNE_ACTION=" + string(m.Action),
		"ATTUNE_ATTEMPT=" + strconv.Itoa(m.Attempt),
	}
	for _, name := range slices.Concat(commonVariables(), m.Env) {
		if strings.HasPrefix(name, attune.ReservedEnv) {
			return nil, refuse(attune.ReasonStart, "action %q asks for environment variable %q: names that begin with %s are "+
				"the worker's own and are given to nobody", m.Action, name, attune.ReservedEnv)
		}
		if value, found := c.environ[name]; found {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env)
	return slices.Compact(env), nil
}
