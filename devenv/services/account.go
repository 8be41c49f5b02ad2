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

// account is the user that runs a server which refuses to run as root.
type account struct {
	name     string
	uid, gid uint32
}

// unprivileged returns the account for servers that refuse root, or nil if this process is not root.
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

// credential returns nil for a nil account: the child then runs as the caller.
func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
}

// takeOver makes the account the owner of a folder and its content.
func (a *account) takeOver(dir string) error {
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

// canEnter returns an error with the first folder on the path to dir that the account may not enter. The server itself
// would only report "permission denied".
func (a *account) canEnter(dir string) error {
	if a == nil {
		return nil
	}
	for folder := filepath.Dir(dir); ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		if err != nil {
			return err
		}
		if !a.mayEnter(info) {
			return fmt.Errorf("PostgreSQL refuses to run as root, and user %q may not enter %q on the way to %q: "+
				"run attune as an ordinary user, or use a data folder whose parent folders every user may enter", a.name, folder, dir)
		}
		if folder == filepath.Dir(folder) {
			return nil
		}
	}
}

// mayEnter reports whether the account, which has one group, may enter a folder.
func (a *account) mayEnter(folder fs.FileInfo) bool {
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
