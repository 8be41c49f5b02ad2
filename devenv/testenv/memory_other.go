//go:build !linux

package testenv

import "os"

// tempDir returns the folder of the runs.
func tempDir() string { return os.TempDir() }
