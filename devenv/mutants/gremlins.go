package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const gremlinsPackage = "github.com/go-gremlins/gremlins/cmd/gremlins"

// timeoutFactor is the timeout for the tests of a mutant, in multiples of the wall time that gremlins measures for the
// unchanged package. It ends only tests that wait for ever; [standIn] limits endless loops.
const timeoutFactor = 300

// gremlins is the mutation tester in the version of tools/go.mod, built into a temporary folder.
type gremlins struct {
	folder  string
	goPath  string
	workers int
}

// install builds gremlins. With `go tool`, gremlins would find the toolchain's go command instead of the stand-in.
func install(ctx context.Context, workers int) (g gremlins, err error) {
	goPath, err := exec.LookPath(goName)
	if err != nil {
		return g, err
	}
	self, err := os.Executable()
	if err != nil {
		return g, err
	}
	folder, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return g, err
	}
	g = gremlins{folder: folder, goPath: goPath, workers: workers}
	build := exec.CommandContext(ctx, goPath, "build", "-modfile=tools/go.mod", "-o", g.path("gremlins"), gremlinsPackage)
	build.Stderr = os.Stderr
	if err := errors.Join(os.Mkdir(g.path("bin"), 0o700), os.Symlink(self, g.path("bin", goName)), build.Run()); err != nil {
		g.remove()
		return g, fmt.Errorf("build gremlins: %w", err)
	}
	return g, nil
}

func (g gremlins) path(elements ...string) string {
	return filepath.Join(append([]string{g.folder}, elements...)...)
}

func (g gremlins) remove() { _ = os.RemoveAll(g.folder) }

// environment makes gremlins find the stand-in for the go command, and makes tests cheap and repeatable. It switches off
// vet, which would judge mutants instead of the tests, and the shrinking and storing of failed properties.
func (g gremlins) environment() []string {
	return append(os.Environ(),
		"PATH="+g.path("bin")+string(os.PathListSeparator)+os.Getenv("PATH"), realGo+"="+g.goPath, "TMPDIR="+g.folder,
		"GOFLAGS=-vet=off -ldflags=-w", "NO_COLOR=1",
		"RAPID_CHECKS=100", "RAPID_SEED=1", "RAPID_SHRINKTIME=0s", "RAPID_NOFAILFILE=true",
	)
}

// unleash tests all mutants of a folder and its subfolders.
func (g gremlins) unleash(ctx context.Context, stdout io.Writer, folder string) ([]mutant, error) {
	output := g.path("report.json")
	args := []string{
		"unleash", "--output", output, "--output-statuses", "lctk",
		"--workers", strconv.Itoa(g.workers), "--timeout-coefficient", strconv.Itoa(timeoutFactor),
		"--invert-logical", "--invert-loopctrl", "--invert-assignments", "--remove-self-assignments",
		"./" + folder,
	}
	cmd := exec.CommandContext(ctx, g.path("gremlins"), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = g.environment(), stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("gremlins: %w", err)
	}
	data, err := os.ReadFile(output)
	if err != nil {
		return nil, err
	}
	return readReport(data, folder)
}

// report is the report of gremlins.
type report struct {
	Files []struct {
		Name      string `json:"file_name"`
		Mutations []struct {
			Type   string `json:"type"`
			Status status `json:"status"`
			Line   int    `json:"line"`
			Column int    `json:"column"`
		} `json:"mutations"`
	} `json:"files"`
}

// readReport reads the report of gremlins and the source lines of its mutants.
func readReport(data []byte, folder string) ([]mutant, error) {
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("report of gremlins: %w", err)
	}
	var mutants []mutant
	for _, file := range r.Files {
		path := filepath.Join(folder, file.Name)
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, m := range file.Mutations {
			line, err := markOperator(string(source), m.Line, m.Column)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			at := fmt.Sprintf("%s:%d:%d", path, m.Line, m.Column)
			mutants = append(mutants, mutant{name: name{File: path, Line: line, Type: m.Type}, at: at, status: m.Status})
		}
	}
	return mutants, nil
}
