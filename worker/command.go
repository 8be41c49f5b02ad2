package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

// command is one process to run.
type command struct {
	path   string   // the file that is executed
	args   []string // argv, as the action declares it
	env    []string // the whole environment
	dir    string   // the pack's folder
	runDir string   // the run folder
	limits attune.Limits
	stdin  []byte
	masker *secrets.Masker // of the output
}

// runDirVariable returns the variable of the run folder, as "NAME=value".
func (c command) runDirVariable() string { return runDirName + "=" + c.runDir }

// refusal is the error of an action that cannot be started.
type refusal struct {
	reason  attune.Reason
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(reason attune.Reason, format string, args ...any) *refusal {
	return &refusal{reason: reason, message: fmt.Sprintf(format, args...)}
}

// commands builds the commands of attempts.
type commands struct {
	packs   map[string]string // name → absolute folder
	action  func(attune.Ref) (attune.Action, bool)
	environ map[string]string
	allowed attune.EnvGrants
	account *account // the user of the actions; nil: the worker's own
}

// actionOf returns the worker's own action for an input. A message never names a command: it could be forged, or from another
// version of the pack. The error is a *refusal.
func (c commands) actionOf(input attune.ExecutionInput) (attune.Action, error) {
	action, known := c.action(input.Action)
	switch {
	case !known:
		return action, refuse(attune.ReasonActionMismatch, "this worker does not have action %q: give the worker the pack %q with "+
			"this action and restart the worker, or set the action's pool to a pool whose workers have the pack",
			input.Action, input.Action.Pack())
	case action.Digest() != input.ActionDigest:
		return action, refuse(attune.ReasonActionMismatch, "this worker has another version of action %q than the database: give "+
			"every process the same version of pack %q and restart it, then run the action again", input.Action, input.Action.Pack())
	case input.SecretsError != "":
		return action, refuse(attune.ReasonSecretUnavailable, "%s", input.SecretsError)
	}
	return action, nil
}

// of returns the command of an attempt, with the path of its run folder. Its error is a *refusal.
func (c commands) of(id attune.AttemptID, action attune.Action, input attune.ExecutionInput, runDir string) (command, error) {
	if len(action.Command) == 0 || action.Command[0] == "" {
		return command{}, refuse(attune.ReasonStart, "action %q has no command: give it one in its pack", action.Ref)
	}
	if action.Timeout <= 0 {
		return command{}, refuse(attune.ReasonStart, "action %q has timeout %s: use more than 0", action.Ref, action.Timeout)
	}
	dir, err := c.folder(action.Ref.Pack())
	if err != nil {
		return command{}, err
	}
	path, err := c.executable(action.Ref.Pack(), dir, action.Command[0])
	if err != nil {
		return command{}, err
	}
	env, err := c.environment(id, action, input, runDir)
	if err != nil {
		return command{}, err
	}
	masker, err := maskerOf(input)
	if err != nil {
		return command{}, err
	}
	return command{
		path: path, args: action.Command, env: env, dir: dir, runDir: runDir, limits: action.Limits, stdin: parametersOf(input),
		masker: masker,
	}, nil
}

// maskerOf returns the masker of everything that an attempt prints. Its error is a *refusal.
func maskerOf(input attune.ExecutionInput) (*secrets.Masker, error) {
	values, err := secrets.Values(input.Parameters, input.SecretParameters)
	if err != nil {
		return nil, refuse(attune.ReasonStart, "the parameters of action %q cannot be read", input.Action)
	}
	return secrets.NewMasker(slices.AppendSeq(values, maps.Values(input.Secrets))), nil
}

// parametersOf returns the stdin of the process. Without parameters it is an empty object, so that the process can always
// parse its stdin.
func parametersOf(input attune.ExecutionInput) []byte {
	if len(input.Parameters) == 0 {
		return []byte("{}")
	}
	return input.Parameters
}

// folder returns the folder of a pack without symbolic links.
func (c commands) folder(pack string) (string, error) {
	dir, known := c.packs[pack]
	if !known {
		return "", refuse(attune.ReasonExecutableNotFound, "this worker does not have pack %q: add the pack's folder to the worker, "+
			"or set the action's pool to a pool whose workers have the pack", pack)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		if info, statErr := os.Stat(real); statErr == nil && info.IsDir() {
			return real, nil
		}
	}
	return "", refuse(attune.ReasonExecutableNotFound, "folder %q of pack %q does not exist, or this worker cannot read it", dir, pack)
}

// executable finds the file of a command: a name without a slash on PATH, a name with a slash inside the pack's folder.
func (c commands) executable(pack, dir, name string) (string, error) {
	if !strings.Contains(name, "/") {
		return c.program(name)
	}
	if filepath.IsAbs(name) {
		return "", refuse(attune.ReasonExecutableNotFound, "%q is an absolute path: put the file into the folder of pack %q and use "+
			"its path relative to that folder, or use the name of a program on PATH, without a slash", name, pack)
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
			"into the folder, or use the name of a program on PATH, without a slash", name, pack)
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", refuse(attune.ReasonStart, "file %q of pack %q is not executable: chmod +x", name, pack)
	}
	return path, nil
}

// program looks name up on the PATH that the process will have. It skips relative folders: their meaning depends on the
// folder in which the worker was started.
func (c commands) program(name string) (string, error) {
	for _, dir := range filepath.SplitList(c.environ["PATH"]) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", refuse(attune.ReasonExecutableNotFound, "program %q is not on the PATH of this worker (%s): install it on the worker, "+
		"or use a path with a slash to run a file of the pack", name, c.environ["PATH"])
}

// environment returns the whole environment of the process, sorted. It skips variables that the worker does not have.
func (c commands) environment(
	id attune.AttemptID, action attune.Action, input attune.ExecutionInput, runDir string,
) ([]string, error) {
	env := []string{
		runDirName + "=" + runDir,
		"ATTUNE_EXECUTION_ID=" + strconv.FormatInt(int64(id.Execution), 10),
		"ATTUNE_ENFORCEMENT_ID=" + strconv.FormatInt(int64(input.Enforcement), 10),
		"ATTUNE_ACTION=" + string(action.Ref),
		"ATTUNE_ATTEMPT=" + strconv.Itoa(id.Attempt),
	}
	own := make(map[string]string)
	maps.Copy(own, c.account.environment())
	for _, name := range action.Secrets {
		value, given := input.Secrets[name]
		if !given {
			return nil, refuse(attune.ReasonSecretUnavailable, "action %q asks for the secret %q, and the reply to the claim does not "+
				"have it: give every process the same version of pack %q and run the action again", action.Ref, name, action.Ref.Pack())
		}
		own[name] = value
	}
	for name, value := range own {
		env = append(env, name+"="+value)
	}
	for _, name := range slices.Concat(attune.CommonEnv(), action.Env) {
		if strings.HasPrefix(name, attune.ReservedEnv) {
			return nil, refuse(attune.ReasonStart, "action %q asks for environment variable %q: names that begin with %s are "+
				"reserved for the worker and never passed to an action", action.Ref, name, attune.ReservedEnv)
		}
		if !c.allowed.Allow(action.Ref.Pack(), name) {
			return nil, refuse(attune.ReasonEnvNotAllowed, "action %q asks for environment variable %q, which this worker does not "+
				"allow pack %q to see: allow it with %s=%s in the setting worker.allow_env of the worker, or take it out of the "+
				"action's env", action.Ref, name, action.Ref.Pack(), action.Ref.Pack(), name)
		}
		if value, found := c.environ[name]; found && own[name] == "" {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env)
	return slices.Compact(env), nil
}
