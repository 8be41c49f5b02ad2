package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	temporalBinary = "attune-temporal"
	modulePath     = "github.com/attune-go/attune"
)

// FindTemporal returns the program that serves Temporal. It is, in this order: what ATTUNE_TEMPORAL_BIN names,
// bin/attune-temporal of attune's source tree if the working folder is inside one, attune-temporal on PATH, the
// `temporal` CLI on PATH, or a fresh build in the source tree. The build takes minutes the first time; note receives a
// line that says so.
func FindTemporal(ctx context.Context, note func(string)) (string, error) {
	if given := os.Getenv("ATTUNE_TEMPORAL_BIN"); given != "" {
		if executable(given) {
			return filepath.Abs(given)
		}
		return "", &MissingError{Service: "Temporal", Program: given, Looked: "there only, because ATTUNE_TEMPORAL_BIN says so"}
	}
	root := sourceTree()
	if root != "" {
		if built := filepath.Join(root, "bin", temporalBinary); executable(built) {
			return built, nil
		}
	}
	for _, name := range []string{temporalBinary, "temporal"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	if root == "" {
		return "", &MissingError{
			Service: "Temporal", Program: temporalBinary,
			Looked: "at ATTUNE_TEMPORAL_BIN and on PATH, there also for the temporal CLI",
		}
	}
	return buildTemporal(ctx, root, note)
}

// buildTemporal compiles the development server into bin/. It goes to a file of its own first: a half-written program
// must not be found by anybody else.
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
			return "", &MissingError{Service: "Temporal", Program: "go, to build " + temporalBinary, Looked: "on PATH"}
		}
		return "", fmt.Errorf("build the Temporal server: %w\n%s", err, bytes.TrimSpace(output))
	}
	if err := os.Rename(fresh, final); err != nil {
		return "", fmt.Errorf("build the Temporal server: %w", err)
	}
	return final, nil
}

// sourceTree returns the folder with attune's go.mod at or above the working folder; empty outside of one.
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
