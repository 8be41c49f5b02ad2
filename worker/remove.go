package worker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// removeBatch is how many names of a folder are read at once.
const removeBatch = 1024

// removal removes a folder with its content. An action can nest folders deeper than a path is long and than a process may open files.
// So a removal moves folders from below up into the top one. It has few files open, and its paths are short.
type removal struct {
	top     *os.Root
	open    bool     // the right to empty a folder may be missing, and the removal may give it to itself
	prefix  string   // of the names of the folders that were moved up
	moved   int      // folders
	pending []string // folders in the top one that are not empty
	failed  int      // files and folders that are left
	first   error    // why; of the first one
}

// removeFolder removes a folder with its content, also folders in it that their owner may not write to. A worker that runs actions as
// another user may write to all of them (see [neededCapabilities]). It changes no mode then: the user could put a link to any file in
// the place of a folder. The length of an error is bounded.
func removeFolder(dir string, owner *account) error {
	err := os.Remove(dir) // also a link in the place of the folder, without what the link points to
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r := &removal{open: owner == nil && os.Geteuid() != 0, prefix: "removed-" + rand.Text() + "-"}
	is, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if is.IsDir() && r.open {
		_ = os.Chmod(dir, ownerOnly)
	}
	if r.top, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer func() { _ = r.top.Close() }()
	if opened, err := r.top.Stat("."); err != nil || !os.SameFile(is, opened) {
		return errors.Join(fmt.Errorf("%q is no folder", filepath.Base(dir)), err)
	}
	if err := r.run(); err != nil {
		return err
	}
	return os.Remove(dir)
}

// run empties the top folder.
func (r *removal) run() error {
	r.empty(r.top, ".")
	for len(r.pending) > 0 {
		last := len(r.pending) - 1
		name := r.pending[last]
		r.pending = r.pending[:last]
		folder, err := r.top.OpenRoot(name)
		if err != nil {
			r.fail(err)
			continue
		}
		r.empty(folder, name)
		_ = folder.Close()
		if err := r.top.Remove(name); err != nil {
			r.fail(err)
		}
	}
	if r.failed > 0 {
		return fmt.Errorf("remove files and folders: %d are left: %w", r.failed, r.first)
	}
	return nil
}

func (r *removal) fail(err error) {
	r.failed++
	if r.first == nil {
		r.first = err
	}
}

// empty removes the content of a folder, which has a name in the top one. It moves the folders in it that are not empty.
func (r *removal) empty(folder *os.Root, name string) {
	for { // the list of a folder that changes can miss names
		failed := r.failed
		taken, err := r.pass(folder, name)
		if err != nil {
			r.fail(err)
			return
		}
		if taken == 0 || r.failed > failed {
			return
		}
	}
}

// pass empties a folder once, and returns how many files and folders it has removed or moved.
func (r *removal) pass(folder *os.Root, name string) (taken int, err error) {
	list, err := folder.Open(".")
	if err != nil {
		return 0, err
	}
	defer func() { _ = list.Close() }()
	for {
		children, err := list.Readdirnames(removeBatch)
		for _, child := range children {
			if r.take(folder, name, child) {
				taken++
			}
		}
		if errors.Is(err, io.EOF) {
			return taken, nil
		}
		if err != nil {
			return taken, err
		}
	}
}

// take removes a file or an empty folder, or moves a folder into the top one.
func (r *removal) take(folder *os.Root, name, child string) bool {
	if strings.HasPrefix(child, r.prefix) { // was moved before
		return false
	}
	err := folder.Remove(child)
	if err == nil {
		return true
	}
	if is, statErr := folder.Lstat(child); statErr != nil || !is.IsDir() {
		r.fail(err)
		return false
	}
	if r.open {
		_ = folder.Chmod(child, ownerOnly)
	}
	r.moved++
	to := r.prefix + strconv.Itoa(r.moved)
	if err := r.top.Rename(filepath.Join(name, child), to); err != nil {
		r.fail(err)
		return false
	}
	r.pending = append(r.pending, to)
	return true
}
