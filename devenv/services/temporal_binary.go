package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	temporalBinary   = "attune-temporal"
	temporalCLI      = "temporal"
	temporalVariable = "ATTUNE_TEMPORAL_BIN"
	modulePath       = "github.com/attune-go/attune"
)

// FindTemporal returns the program of the Temporal server. It tries in this order: the file that ATTUNE_TEMPORAL_BIN
// names; attune-temporal in the folder of the running program, links resolved too; attune-temporal on PATH;
// bin/attune-temporal of attune's source tree, if the working folder is inside one; the `temporal` CLI on PATH; a new
// build in the source tree. The first build takes minutes; note receives a line about it.
//
// A [MissingError] lists the searched places.
func FindTemporal(ctx context.Context, note func(string)) (string, error) {
	if given := os.Getenv(temporalVariable); given != "" {
		if executable(given) {
			return filepath.Abs(given)
		}
		return "", missingTemporal(given, "only at this path, which "+temporalVariable+" names")
	}
	beside, root := programFolders(), sourceTree()
	for _, folder := range beside {
		if found := filepath.Join(folder, temporalBinary); executable(found) {
			return found, nil
		}
	}
	if path, err := exec.LookPath(temporalBinary); err == nil {
		return filepath.Abs(path)
	}
	if root != "" {
		if built := filepath.Join(root, "bin", temporalBinary); executable(built) {
			return built, nil
		}
	}
	if path, err := exec.LookPath(temporalCLI); err == nil {
		return filepath.Abs(path)
	}
	if root == "" {
		return "", missingTemporal(temporalBinary, fmt.Sprintf("beside the running program in %s, and on PATH (also for the CLI %q); "+
			"the working folder is outside attune's source tree", quoted(beside), temporalCLI))
	}
	return buildTemporal(ctx, root, note)
}

func missingTemporal(program, searched string) error {
	return &MissingError{
		Service: "Temporal", Program: program, Searched: searched,
		Advice: "run \"make deps\" in attune's source tree, or name the program with " + temporalVariable,
	}
}

// programFolders lists the folders of the running program: of the started file, and of the target if that is a link.
func programFolders() []string {
	var folders []string
	add := func(path string, err error) {
		if folder := filepath.Dir(path); err == nil && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	if started, err := exec.LookPath(os.Args[0]); err == nil {
		add(filepath.Abs(started))
		add(filepath.EvalSymlinks(started))
	}
	if running, err := os.Executable(); err == nil {
		add(running, nil)
		add(filepath.EvalSymlinks(running))
	}
	return folders
}

func quoted(folders []string) string {
	var all []string
	for _, folder := range folders {
		all = append(all, strconv.Quote(folder))
	}
	return strings.Join(all, " and ")
}

// buildTemporal compiles the development server into bin/. It builds into a temporary folder first, so that no other
// process finds an incomplete program.
func buildTemporal(ctx context.Context, root string, note func(string)) (string, error) {
	if note != nil {
		note("building bin/" + temporalBinary + " from devenv/temporal/; this happens once and takes some minutes")
	}
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", fmt.Errorf("build the Temporal server: %w", err)
	}
	dir, err := os.MkdirTemp(bin, ".build-")
	if err != nil {
		return "", fmt.Errorf("build the Temporal server: %w", err)
	}
	defer os.RemoveAll(dir)

	fresh, final := filepath.Join(dir, temporalBinary), filepath.Join(bin, temporalBinary)
	build := exec.CommandContext(ctx, "go", "build", "-o", fresh, ".")
	build.Dir = filepath.Join(root, "devenv", "temporal")
	if output, err := build.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", missingTemporal("go, to build "+temporalBinary, "on PATH")
		}
		return "", fmt.Errorf("build the Temporal server: %w\n%s", err, bytes.TrimSpace(output))
	}
	if err := os.Rename(fresh, final); err != nil {
		return "", fmt.Errorf("build the Temporal server: %w", err)
	}
	return final, nil
}

// sourceTree returns the folder of attune's go.mod at or above the working folder; empty outside the source tree.
func sourceTree() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		first, _, _ := bytes.Cut(content, []byte("\n"))
		if err == nil && string(bytes.TrimSpace(first)) == "module "+modulePath {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
}
