package packs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/attune-go/attune"
)

//go:embed all:core
var coreFiles embed.FS

// materialize writes the embedded core pack (the trigger of direct runs, and actions to try things with: echo, noop, sleep,
// fail) to a folder under dataDir, if it is not there yet, and returns the folder.
//
// The folder is named by the digest of its content and appears complete or not at all; one that is there and intact is used
// as it is, so any number of processes may share dataDir. An error is [attune.CodeInvalid] if dataDir cannot be used.
func materialize(dataDir string) (string, error) {
	files, err := coreContent()
	if err != nil {
		return "", err
	}
	target := filepath.Join(dataDir, "packs", "core-"+files.digest()[:16])
	if files.intact(target) {
		return target, nil
	}
	if err := files.write(target); err != nil {
		return "", attune.WrapError(attune.CodeInvalid, err, "data folder %q: the core pack cannot be written there", dataDir)
	}
	return target, nil
}

// content is a tree of files, in order of their paths.
type content []file

type file struct {
	path string // relative, with slashes
	data []byte
	mode fs.FileMode
}

// coreContent reads the embedded files. Embedding loses their modes: what lies in scripts is executable.
func coreContent() (content, error) {
	var files content
	err := fs.WalkDir(coreFiles, "core", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := coreFiles.ReadFile(path)
		f := file{path: strings.TrimPrefix(path, "core/"), data: data, mode: 0o644}
		if strings.HasPrefix(f.path, "scripts/") {
			f.mode = 0o755
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the embedded core pack: %w", err)
	}
	return files, nil
}

func (c content) digest() string {
	sum := sha256.New()
	for _, f := range c {
		fmt.Fprintf(sum, "%q %o %d\n", f.path, f.mode, len(f.data))
		sum.Write(f.data)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// intact reports whether every file is in dir as it must be.
func (c content) intact(dir string) bool {
	for _, f := range c {
		path := filepath.Join(dir, filepath.FromSlash(f.path))
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != f.mode {
			return false
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, f.data) {
			return false
		}
	}
	return true
}

// write writes the files to a new folder and gives it its name in one step. What stands there and is not intact is moved
// out of the way.
func (c content) write(target string) error {
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return err
	}
	work, err := os.MkdirTemp(parent, ".core-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fresh := filepath.Join(work, "new")
	for _, f := range c {
		if err := f.write(fresh); err != nil {
			return err
		}
	}
	if err := os.Rename(fresh, target); err == nil || c.intact(target) {
		return nil // ours, or that of another process that was faster
	}
	if err := os.Rename(target, filepath.Join(work, "damaged")); err != nil {
		return err
	}
	return os.Rename(fresh, target)
}

// write writes one file below dir with exactly its mode, whatever the process's umask.
func (f file) write(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(path, f.data, f.mode); err != nil {
		return err
	}
	return os.Chmod(path, f.mode)
}
