package services

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// passwordsFile lies in the folder of a service, beside its data. Only the owner can read it.
const passwordsFile = "passwords.json"

// passwords are what the users of one service log in with, by the name of the user.
type passwords map[string]string

// OldDataError says that a folder has data but no passwords for it, so a version of attune made it that gave its services
// none.
type OldDataError struct {
	Dir string
}

func (e *OldDataError) Error() string {
	return fmt.Sprintf("the data in %q is from an attune that gave its services no passwords, and cannot be used any more: "+
		"delete that folder, and everything starts afresh", e.Dir)
}

func hasPasswords(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, passwordsFile))
	return err == nil
}

// keepPasswords reads the passwords in the folder of a service. For a service without data it makes new ones, one for each
// user, and keeps them there.
func keepPasswords(dir string, hasData bool, users ...string) (passwords, error) {
	path := filepath.Join(dir, passwordsFile)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return readPasswords(path, data, users)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the passwords: %w", err)
	case hasData:
		return nil, &OldDataError{Dir: dir}
	}
	made := passwords{}
	for _, user := range users {
		made[user] = rand.Text()
	}
	if err := made.write(path); err != nil {
		return nil, fmt.Errorf("keep the passwords: %w", err)
	}
	return made, nil
}

func readPasswords(path string, data []byte, users []string) (passwords, error) {
	var found passwords
	if err := json.Unmarshal(data, &found); err != nil {
		return nil, fmt.Errorf("passwords in %q: %w", path, err)
	}
	for _, user := range users {
		if found[user] == "" {
			return nil, fmt.Errorf("passwords in %q: there is none for user %q", path, user)
		}
	}
	return found, nil
}

// write makes the file appear complete or not at all: a service with data and half of its passwords would be lost.
func (p passwords) write(path string) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
