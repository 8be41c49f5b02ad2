package worker

import (
	"fmt"
	"maps"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/attune-go/attune"
)

// account is the user of the system as which actions run.
type account struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
	ambient    []uintptr // the capabilities that the worker, which is not root, gives its supervisors
}

// lookUpAccount returns the account with a name or a user id. The id may be one that the system has no name for: its group has the
// same number. An unknown name, and an account as which the worker cannot run processes, is an [attune.CodeInvalid] error.
func lookUpAccount(name string, limited bool) (*account, error) {
	a, err := findAccount(name)
	if err == nil {
		err = a.checkUsable(limited)
	}
	if err != nil {
		return nil, attune.WrapError(attune.CodeInvalid, err, "user of the actions %q", name)
	}
	return a, nil
}

func findAccount(name string) (*account, error) {
	id, notNumber := strconv.ParseUint(name, 10, 32)
	lookUp := user.LookupId
	if notNumber != nil {
		lookUp = user.Lookup
	}
	found, err := lookUp(name)
	switch {
	case err != nil && notNumber == nil:
		return &account{name: name, home: "/", uid: uint32(id), gid: uint32(id)}, nil
	case err != nil:
		return nil, err
	}
	groups, err := found.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	ids := append([]string{found.Uid, found.Gid}, groups...)
	numbers := make([]uint32, len(ids))
	for i, text := range ids {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", text, err)
		}
		numbers[i] = uint32(id)
	}
	return &account{name: found.Username, home: found.HomeDir, uid: numbers[0], gid: numbers[1], groups: numbers[2:]}, nil
}

// account returns the account of User; nil if User is empty.
func (c Config) account() (*account, error) {
	if c.User == "" {
		return nil, nil //nolint:nilnil // the user of the worker
	}
	a, err := lookUpAccount(c.User, c.Limited)
	if err != nil {
		return nil, err
	}
	if err := a.checkReaches(c.actionFolders()...); err != nil {
		return nil, err
	}
	return a, nil
}

// CheckUser returns an [attune.CodeInvalid] error if the worker cannot run actions as User, or User cannot enter the folders of the
// packs or the folder around RunDir. [New] checks the same.
func (c Config) CheckUser() error {
	_, err := c.account()
	return err
}

// actionFolders returns the folders that the user of the actions needs and the worker does not open to that user itself.
func (c Config) actionFolders() []string {
	folders := slices.Collect(maps.Values(c.Packs))
	if c.RunDir != "" {
		folders = append(folders, filepath.Dir(c.RunDir))
	}
	return folders
}

// environment returns the variables that name the user. There are none for the user of the worker, which is nil.
func (a *account) environment() map[string]string {
	if a == nil {
		return nil
	}
	return map[string]string{"HOME": a.home, "USER": a.name, "LOGNAME": a.name}
}
