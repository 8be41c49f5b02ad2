package packs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/attune-go/attune"
)

//go:embed all:core
var coreFiles embed.FS

// materialize writes the embedded core pack to a folder under dataDir, unless an intact copy exists, and returns the folder. The
// core pack has the trigger of direct runs and the actions echo, noop, sleep and fail.
//
// The name of the folder contains the digest of its content. The folder appears complete or not at all, so any number of
// processes may share dataDir. If dataDir cannot be used, the error is an [attune.CodeInvalid] error.
func materialize(dataDir string) (string, error) {
	files, err := coreContent()
	if err != nil {
		return "", err
	}
	target := filepath.Join(dataDir, "packs", "core-"+files.digest()[:16])
	if !files.intact(target) {
		if err := files.writeBelow(dataDir, target); err != nil {
			return "", attune.WrapError(attune.CodeInvalid, err, "data folder %q: the core pack cannot be written to it", dataDir)
		}
	}
	files.letPass(target)
	return target, nil
}

// passable is the mode of the folders: only the owner may list them, and every user may enter them, such as the user of the actions.
const passable = 0o711

// writeBelow writes the files to target, which is below dataDir. If there is no data folder, it creates one.
func (c content) writeBelow(dataDir, target string) error {
	_, err := os.Stat(dataDir)
	if err := os.MkdirAll(filepath.Dir(target), passable); err != nil {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.Chmod(dataDir, passable); err != nil { // independent of the umask
			return err
		}
	}
	return c.write(target)
}

// letPass lets every user enter the folders of the pack and the folder around it. It leaves a folder of another user as it is: a
// worker that runs actions as a user that cannot enter it names the folder.
func (c content) letPass(target string) {
	dirs := map[string]bool{filepath.Dir(target): true, target: true}
	for _, f := range c {
		dirs[filepath.Join(target, filepath.FromSlash(path.Dir(f.path)))] = true
	}
	for dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&passable != passable {
			_ = os.Chmod(dir, info.Mode().Perm()|passable)
		}
	}
}

// content is a list of files, ordered by path.
type content []file

type file struct {
	path string // relative, with slashes
	data []byte
	mode fs.FileMode
}

// coreContent reads the embedded files. Embedding loses file modes, so every file in scripts becomes executable.
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

// digest returns the SHA-256 of paths, modes and data, in hexadecimal.
func (c content) digest() string {
	sum := sha256.New()
	for _, f := range c {
		fmt.Fprintf(sum, "%q %o %d\n", f.path, f.mode, len(f.data))
		sum.Write(f.data)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// intact reports whether dir has every file with the right data and mode.
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

// write writes the files to a temporary folder and renames that to target. It first moves a damaged target away.
func (c content) write(target string) error {
	parent := filepath.Dir(target)
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
		return nil // this process or another one has written the folder
	}
	if err := os.Rename(target, filepath.Join(work, "damaged")); err != nil {
		return err
	}
	return os.Rename(fresh, target)
}

// write writes one file below dir. The file gets exactly its mode, whatever the umask of the process.
func (f file) write(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(path), passable); err != nil {
		return err
	}
	if err := os.WriteFile(path, f.data, f.mode); err != nil {
		return err
	}
	return os.Chmod(path, f.mode)
}
