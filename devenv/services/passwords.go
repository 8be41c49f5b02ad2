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

// passwordsFile is in the folder of a service, beside its data. Only the owner can read it.
const passwordsFile = "passwords.json"

// passwords are the passwords of a service by the name of the user.
type passwords map[string]string

// OldDataError is the error of a folder with data but without passwords, from a version of attune whose services had no
// passwords.
type OldDataError struct {
	Dir string
}

func (e *OldDataError) Error() string {
	return fmt.Sprintf("the data in %q is from a version of attune without passwords and cannot be used: "+
		"delete that folder and start again with empty services", e.Dir)
}

func hasPasswords(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, passwordsFile))
	return err == nil
}

// loadPasswords reads the passwords in the folder of a service. For a service without data it creates and stores one
// password per user.
func loadPasswords(dir string, hasData bool, users ...string) (passwords, error) {
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
	created := passwords{}
	for _, user := range users {
		created[user] = rand.Text()
	}
	if err := created.write(path); err != nil {
		return nil, fmt.Errorf("store the passwords: %w", err)
	}
	return created, nil
}

func readPasswords(path string, data []byte, users []string) (passwords, error) {
	var found passwords
	if err := json.Unmarshal(data, &found); err != nil {
		return nil, fmt.Errorf("passwords in %q: %w", path, err)
	}
	for _, user := range users {
		if found[user] == "" {
			return nil, fmt.Errorf("passwords in %q: no password for user %q", path, user)
		}
	}
	return found, nil
}

// write writes the file completely or not at all: the data of a service is lost if one of its passwords is missing.
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
