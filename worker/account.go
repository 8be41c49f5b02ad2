package worker

import (
	"fmt"
	"os/user"
	"strconv"

	"github.com/attune-go/attune"
)

// account is the user of the system as which actions run.
type account struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
}

// lookUpAccount returns the account with a name. An unknown user, and one as which the worker cannot start processes, is an
// [attune.CodeInvalid] error.
func lookUpAccount(name string) (*account, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return nil, attune.WrapError(attune.CodeInvalid, err, "user of the actions %q", name)
	}
	a := &account{name: found.Username, home: found.HomeDir}
	groups, err := found.GroupIds()
	if err != nil {
		return nil, attune.WrapError(attune.CodeInvalid, err, "groups of the user of the actions %q", name)
	}
	ids := append([]string{found.Uid, found.Gid}, groups...)
	numbers := make([]uint32, len(ids))
	for i, text := range ids {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, attune.WrapError(attune.CodeInvalid, err, "user of the actions %q: id %q", name, text)
		}
		numbers[i] = uint32(id)
	}
	a.uid, a.gid, a.groups = numbers[0], numbers[1], numbers[2:]
	if err := a.checkUsable(); err != nil {
		return nil, attune.WrapError(attune.CodeInvalid, err, "user of the actions %q", name)
	}
	return a, nil
}

// account returns the account of User; nil if User is empty.
func (c Config) account() (*account, error) {
	if c.User == "" {
		return nil, nil //nolint:nilnil // the user of the worker
	}
	a, err := lookUpAccount(c.User)
	if err != nil {
		return nil, err
	}
	for _, folder := range c.Packs {
		if err := a.checkReaches(folder); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// environment returns the variables that name the user. There are none for the user of the worker, which is nil.
func (a *account) environment() map[string]string {
	if a == nil {
		return nil
	}
	return map[string]string{"HOME": a.home, "USER": a.name, "LOGNAME": a.name}
}

// errRights says which rights the worker lacks.
func errRights(missing string) error {
	return fmt.Errorf("the worker may not run processes as another user: run it as root, or with the capability %s", missing)
}
