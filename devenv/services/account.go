package services

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user a server runs as when it refuses to be root.
type account struct {
	name     string
	uid, gid uint32
}

// unprivileged returns the account for servers that refuse root, or nil if this process is not root anyway.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user id of %q: %w", name, err)
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("group id of %q: %w", name, err)
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root and there is neither a user \"postgres\" nor \"nobody\"")
}

// credential is nil for a nil account: the child then runs as the caller.
func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
}

// own gives a folder and everything in it to the account.
func (a *account) own(dir string) error {
	if a == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(a.uid), int(a.gid))
	})
}

// canEnter reports the first folder on the way to dir that the account may not pass through. The server itself would
// only say "permission denied".
func (a *account) canEnter(dir string) error {
	if a == nil {
		return nil
	}
	for at := filepath.Dir(dir); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if !a.mayPass(info) {
			return fmt.Errorf("PostgreSQL refuses to run as root, and user %q may not enter %q on the way to %q: "+
				"run attune as an ordinary user, or use a data folder below folders that every user may pass through", a.name, at, dir)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// mayPass reports whether the account may pass through a folder. It has one group.
func (a *account) mayPass(folder fs.FileInfo) bool {
	owner, known := folder.Sys().(*syscall.Stat_t)
	switch {
	case known && owner.Uid == a.uid:
		return folder.Mode()&0o100 != 0
	case known && owner.Gid == a.gid:
		return folder.Mode()&0o010 != 0
	default:
		return folder.Mode()&0o001 != 0
	}
}
