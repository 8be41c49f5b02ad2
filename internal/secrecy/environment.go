package secrecy

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Environment is a copy of the environment of the process. It does not change.
type Environment struct{ values map[string]string }

// CopyEnvironment returns a copy of the environment of the process.
func CopyEnvironment() Environment {
	e := Environment{values: map[string]string{}}
	for _, entry := range os.Environ() {
		if name, value, found := strings.Cut(entry, "="); found {
			e.values[name] = value
		}
	}
	return e
}

// Take removes variables from the environment of the process. The copy keeps them.
func (e Environment) Take(names ...string) error {
	for _, name := range names {
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("remove %s from the environment: %w", name, err)
		}
	}
	return nil
}

// Lookup returns the value of a variable, and whether it was set, like [os.LookupEnv].
func (e Environment) Lookup(name string) (value string, found bool) {
	value, found = e.values[name]
	return value, found
}

// blank overwrites, with zero bytes, the values in a block of variables of the form "NAME=value\x00".
func blank(block []byte) {
	for len(block) > 0 {
		entry := block
		if end := bytes.IndexByte(block, 0); end >= 0 {
			entry = block[:end]
		}
		if equals := bytes.IndexByte(entry, '='); equals >= 0 {
			clear(entry[equals+1:])
		}
		block = block[min(len(entry)+1, len(block)):]
	}
}
