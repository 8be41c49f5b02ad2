package testenv

import (
	"os"
	"syscall"
)

const (
	memory     = "/dev/shm"
	memoryType = 0x01021994 // TMPFS_MAGIC of statfs(2)
	// memorySize is the size from which memory holds the services of a run: they need less than a gigabyte.
	memorySize = 4 << 30
)

// tempDir returns the folder of the runs. Without TMPDIR, it is in memory if there is enough: a disk's file system (ext4) takes longer
// to create and delete the files of a database than PostgreSQL takes for all other work of a short test. The size decides and not the
// free space, because all processes of a run must choose the same folder.
func tempDir() string {
	var system syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(memory, &system) == nil && system.Type == memoryType &&
		int64(system.Blocks)*system.Bsize >= memorySize {
		return memory
	}
	return os.TempDir()
}
