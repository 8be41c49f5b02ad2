package packs_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

// outcome is the output and exit code of a process.
type outcome struct {
	stdout, stderr string
	code           int
}

// run checks parameters against an action's schema and runs its command with them on stdin, with as few environment
// variables as possible.
func run(t *testing.T, pack *attune.Pack, ref attune.Ref, parameters string) outcome {
	t.Helper()
	engine, err := rules.NewEngine()
	require.NoError(t, err)
	action := find(t, pack, ref)
	_, err = engine.Manual(action, json.RawMessage(parameters))
	require.NoError(t, err)

	// Another test may fork while this test has the script open for writing. Until that child calls exec, the script cannot be
	// started, so retry.
	for {
		got, err := start(t, filepath.Join(pack.Dir, action.Command[0]), parameters)
		if !errors.Is(err, syscall.ETXTBSY) {
			return got
		}
	}
}

func start(t *testing.T, program, parameters string) (outcome, error) {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir, cmd.Env = t.TempDir(), []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(parameters), &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		require.ErrorIs(t, err, syscall.ETXTBSY)
		return outcome{}, err
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

func find(t *testing.T, pack *attune.Pack, ref attune.Ref) attune.Action {
	t.Helper()
	for _, action := range pack.Actions {
		if action.Ref == ref {
			return action
		}
	}
	require.Fail(t, "no such action", ref)
	return attune.Action{}
}

func TestCore(t *testing.T) {
	t.Parallel()
	pack := loadCore(t, t.TempDir())
	require.Equal(t, "core", pack.Name)
	require.Equal(t, attune.ManualTrigger, pack.Triggers[0].Ref)
	require.Empty(t, pack.Rules)
	require.Len(t, pack.Actions, 4)
	for _, action := range pack.Actions {
		effective := policy.Resolve(
			policy.Level{Scope: policy.ScopePack, Ref: pack.Name, Policy: *pack.Policy},
		)
		require.Nil(t, action.Policy)
		require.Equal(t, 10, effective.Policy.Limit)
		require.NotEmpty(t, action.Schema, action.Ref)
	}
}

func TestCore_Actions(t *testing.T) {
	t.Parallel()
	pack := loadCore(t, t.TempDir())

	tests := []struct {
		action     attune.Ref
		parameters string
		want       outcome
	}{
		{"core.echo", `{"a": [1, "é\"\\", {"b": null}]}`, outcome{stdout: `{"a": [1, "é\"\\", {"b": null}]}`}},
		{"core.noop", `{"anything": true}`, outcome{}},
		{"core.sleep", `{"seconds": 0.01}`, outcome{stdout: `{"seconds": 0.010}` + "\n"}},
		{"core.sleep", `{"seconds":0}`, outcome{stdout: `{"seconds": 0.000}` + "\n"}},
		{"core.sleep", "{\n  \"seconds\" :\n  1.5e-2\n}", outcome{stdout: `{"seconds": 0.015}` + "\n"}},
		{"core.fail", `{}`, outcome{stderr: "failed because it was asked to\n", code: 1}},
		{"core.fail", `{"code": 3, "message": "no such thing: code 5, 'é'"}`, outcome{stderr: "no such thing: code 5, 'é'\n", code: 3}},
		{"core.fail", "{\"message\":\n\"message\",\n\"code\":125}", outcome{stderr: "message\n", code: 125}},
		{"core.fail", `{"message": "code", "code": 7}`, outcome{stderr: "code\n", code: 7}},
	}
	for _, tt := range tests {
		t.Run(string(tt.action)+" "+tt.parameters, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, run(t, pack, tt.action, tt.parameters))
		})
	}
}

func TestCore_ParametersAreChecked(t *testing.T) {
	t.Parallel()
	pack := loadCore(t, t.TempDir())
	engine, err := rules.NewEngine()
	require.NoError(t, err)

	tests := []struct {
		action           attune.Ref
		parameters, want string
	}{
		{"core.sleep", `{}`, `missing property 'seconds'`},
		{"core.sleep", `{"seconds": "1"}`, `/seconds: got string, want number`},
		{"core.sleep", `{"seconds": -1}`, `/seconds: minimum: got -1, want 0`},
		{"core.sleep", `{"seconds": 1, "x": 1}`, `additional properties 'x' not allowed`},
		{"core.fail", `{"code": 0}`, `/code: minimum: got 0, want 1`},
		{"core.fail", `{"message": "\"; rm"}`, `/message: '"; rm' does not match pattern`},
		{"core.echo", `[]`, `got a list, want a JSON object`},
	}
	for _, tt := range tests {
		_, err := engine.Manual(find(t, pack, tt.action), json.RawMessage(tt.parameters))
		require.ErrorContains(t, err, tt.want)
	}
}

func TestCore_IsWrittenOnce(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	pack := loadCore(t, dataDir)
	before, err := os.Stat(filepath.Join(pack.Dir, "scripts/echo"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), before.Mode().Perm())

	again := loadCore(t, dataDir)
	after, err := os.Stat(filepath.Join(again.Dir, "scripts/echo"))
	require.NoError(t, err)
	require.Equal(t, pack.Dir, again.Dir)
	require.True(t, os.SameFile(before, after))
}

func TestCore_MendsWhatIsDamaged(t *testing.T) {
	t.Parallel()
	damages := map[string]func(dir string) error{
		"a file is changed": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "scripts/echo"), []byte("#!/bin/sh\n"), 0o755)
		},
		"a file is removed":        func(dir string) error { return os.Remove(filepath.Join(dir, "actions/echo.yaml")) },
		"a file is not executable": func(dir string) error { return os.Chmod(filepath.Join(dir, "scripts/echo"), 0o644) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dataDir := t.TempDir()
			pack := loadCore(t, dataDir)
			require.NoError(t, damage(pack.Dir))

			pack = loadCore(t, dataDir)
			require.Equal(t, outcome{stdout: `{"a":1}`}, run(t, pack, "core.echo", `{"a":1}`))
			left, err := os.ReadDir(filepath.Dir(pack.Dir))
			require.NoError(t, err)
			require.Len(t, left, 1, "nothing is left behind")
		})
	}
}

func TestCore_ManyAtOnce(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = packs.LoadAll(dataDir, nil) })
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// TestCore_Passable reads the core pack in folders that only their owner may enter: those of attune become passable for the user of
// the actions, and the data folder of the caller stays as it is.
func TestCore_Passable(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	pack := loadCore(t, data)
	require.NoError(t, os.Chmod(data, 0o700))
	dirs := []string{filepath.Dir(pack.Dir), pack.Dir, filepath.Join(pack.Dir, "scripts")}
	for _, dir := range dirs {
		require.NoError(t, os.Chmod(dir, 0o750))
	}
	loadCore(t, data)
	for _, dir := range dirs {
		require.Equal(t, os.FileMode(0o751), modeOf(t, dir))
	}
	require.Equal(t, os.FileMode(0o700), modeOf(t, data))

	created := filepath.Join(t.TempDir(), "data")
	loadCore(t, created)
	require.Equal(t, os.FileMode(0o711), modeOf(t, created))
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode().Perm()
}
