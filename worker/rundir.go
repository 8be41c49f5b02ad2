package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/attune-go/attune"
)

// runDirName is the environment variable with the run folder of an attempt.
const runDirName = attune.ReservedEnv + "RUN_DIR"

// ownerOnly is the mode of run folders: actions may keep secrets in them. othersPass is the mode of the folder that holds the run
// folders of another user.
const (
	ownerOnly  = 0o700
	othersPass = 0o711
)

// runDirs is the folder that holds the run folders of one worker. The lock on the folder says that the worker is alive:
// the kernel drops it when the worker ends, by itself or killed.
type runDirs struct {
	dir   string
	lock  *os.File
	owner *account // of the run folders; nil: the user of the worker
}

// openRunDirs creates the folder of a worker inside root, and removes the folders that dead workers have left there. An
// empty root means a new temporary folder. The run folders belong to owner; nil is the user of the worker.
func openRunDirs(ctx context.Context, root string, owner *account, log *slog.Logger) (*runDirs, error) {
	if root != "" {
		var err error
		if root, err = filepath.Abs(root); err != nil { // actions run in other folders
			return nil, fmt.Errorf("find the folder of run folders: %w", err)
		}
		if err := os.MkdirAll(root, ownerOnly); err != nil {
			return nil, fmt.Errorf("create the folder of run folders: %w", err)
		}
		guard, err := lockFolder(root, syscall.LOCK_EX) // a new folder must not look like a dead worker's before it is locked
		if err != nil {
			return nil, err
		}
		defer func() { _ = guard.Close() }()
		removeDead(ctx, root, owner, log)
	}
	dir, err := os.MkdirTemp(root, "attune-worker-")
	if err != nil {
		return nil, fmt.Errorf("create a folder for run folders: %w", err)
	}
	lock, err := lockFolder(dir, syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, err
	}
	d := &runDirs{dir: dir, lock: lock, owner: owner}
	if err := d.letOwnerPass(root); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// letOwnerPass lets the owner of the run folders reach them.
func (d *runDirs) letOwnerPass(root string) error {
	if d.owner == nil {
		return nil
	}
	for _, dir := range []string{root, d.dir} {
		if dir == "" {
			continue
		}
		if err := os.Chmod(dir, othersPass); err != nil {
			return fmt.Errorf("open the folder of run folders to the user of the actions: %w", err)
		}
	}
	return d.owner.checkReaches(d.dir)
}

// removeDead removes the folders of workers that have ended. What cannot be removed stays for the next worker.
func removeDead(ctx context.Context, root string, owner *account, log *slog.Logger) {
	found, _ := filepath.Glob(filepath.Join(root, "attune-worker-*"))
	for _, dir := range found {
		lock, err := lockFolder(dir, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue // its worker is alive
		}
		err = removeFolder(dir, owner)
		_ = lock.Close()
		if err != nil {
			log.WarnContext(ctx, "run folders of a worker that has ended could not be removed", "folder", dir, "error", err)
			continue
		}
		log.InfoContext(ctx, "run folders of a worker that has ended were removed", "folder", dir)
	}
}

// create creates the run folder of an attempt.
func (d *runDirs) create(dir string) error {
	err := os.Mkdir(dir, ownerOnly)
	if err == nil && d.owner != nil {
		err = os.Chown(dir, int(d.owner.uid), int(d.owner.gid))
	}
	if err != nil {
		return fmt.Errorf("create the run folder: %w", err)
	}
	return nil
}

// path returns the run folder of an attempt. The folder may not exist.
func (d *runDirs) path(id attune.AttemptID) string {
	return filepath.Join(d.dir, fmt.Sprintf("%d-%d", id.Execution, id.Attempt))
}

// close removes the folder of the worker.
func (d *runDirs) close() error {
	defer func() { _ = d.lock.Close() }()
	return d.remove(d.dir)
}

// remove removes a run folder of the worker, or the folder of all.
func (d *runDirs) remove(dir string) error { return removeFolder(dir, d.owner) }

// removeFolder removes a folder with its content, also folders in it that their owner may not write to. A worker that runs actions as
// another user may write to all of them (see [neededCapabilities]). It changes no mode: the user could put a link to any file in the
// place of a folder.
func removeFolder(dir string, owner *account) error {
	err := os.RemoveAll(dir)
	if err == nil || owner != nil || os.Geteuid() == 0 {
		return err
	}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() || errors.Is(err, fs.ErrPermission) {
			_ = os.Chmod(path, ownerOnly) //nolint:gosec // a folder needs the right to enter it
		}
		return nil
	})
	return os.RemoveAll(dir)
}
