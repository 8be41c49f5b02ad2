package services

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// PrivateDir creates a folder that only the caller can read, or makes an existing one private: mode 0700.
//
// If the caller is root, PostgreSQL runs as another user. Its group may enter the folder without listing it: mode 0710.
// The folder must belong to the caller, and must not be writable for every user.
func PrivateDir(dir string) error {
	guest, err := unprivileged()
	if err != nil {
		guest = nil // [StartPostgres] reports the error; the other services need no guest
	}
	return privateDir(dir, guest)
}

// PassableDir is [PrivateDir] for a folder with folders that other users need: every user may enter the folder without listing it:
// mode 0711. The files in it must be private themselves.
func PassableDir(dir string) error {
	if err := PrivateDir(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o711)
}

// privateDir is [PrivateDir] with the user who may enter the folder; nil for none.
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

// requireOwned refuses a folder that another user may have filled.
func requireOwned(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return errors.New("the path is a file: use a folder")
	case known && int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("the folder belongs to the user with the id %d: use a folder of your own", owner.Uid)
	case info.Mode()&0o002 != 0:
		return errors.New("every user may write into the folder: use a folder of your own")
	}
	return nil
}
