package services

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// PrivateDir makes a folder that only the caller can read, or makes one that is there private: mode 0700.
//
// A caller that is root runs PostgreSQL as another user, whose group may then pass through the folder without listing it:
// mode 0710. The folder must belong to the caller, and one into which every user may write is refused.
func PrivateDir(dir string) error {
	guest, err := unprivileged()
	if err != nil {
		guest = nil // [StartPostgres] reports it; the other services need no guest
	}
	return privateDir(dir, guest)
}

// privateDir is [PrivateDir] with the user who may pass through; nil for none.
func privateDir(dir string, guest *account) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("create %q: %w", filepath.Dir(dir), err)
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = requireOwned(dir)
	}
	if err != nil {
		return fmt.Errorf("create %q: %w", dir, err)
	}
	if guest == nil {
		return os.Chmod(dir, 0o700)
	}
	if err := os.Chown(dir, -1, int(guest.gid)); err != nil {
		return err
	}
	return os.Chmod(dir, 0o710)
}

// requireOwned refuses a folder whose content another user may have put there.
func requireOwned(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return errors.New("it is a file: name a folder")
	case known && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to the user with the id %d: use a folder of your own", owner.Uid)
	case info.Mode()&0o002 != 0:
		return errors.New("every user may write into it: use a folder of your own")
	}
	return nil
}
