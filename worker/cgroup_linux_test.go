package worker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// writableCgroup returns the cgroup of the test program, in which the test can create others.
func writableCgroup(t *testing.T) cgroupParent {
	t.Helper()
	p := ownCgroup()
	c := p.create()
	if c == nil {
		t.Skip("NOT SHOWN: no cgroup of version 2 in which this user may create others")
	}
	c.remove()
	return p
}

// TestCgroup_Vacate gives back the cgroup into which a worker has moved itself in vain. The processes that the worker has started
// there stay alive, also when the next worker looks for those of dead workers.
func TestCgroup_Vacate(t *testing.T) {
	t.Parallel()
	p := writableCgroup(t)
	own := p.createLocked()
	require.NotNil(t, own)
	child := exec.CommandContext(t.Context(), "sleep", "1000")
	child.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(own.folder.Fd())}
	require.NoError(t, child.Start())
	own.vacate(p)
	require.NoDirExists(t, own.folder.Name())
	members, err := os.ReadFile("/proc/" + strconv.Itoa(child.Process.Pid) + "/cgroup")
	require.NoError(t, err)
	require.Contains(t, string(members), "0::"+p.name+"\n")
	p.killDead()
	require.NoError(t, child.Process.Kill(), "it is alive")
	require.EqualError(t, child.Wait(), "signal: killed")
}

// TestCgroup_KeepLocked keeps a cgroup locked when the file is closed, as the garbage collector does.
func TestCgroup_KeepLocked(t *testing.T) {
	t.Parallel()
	c := fakeCgroup(t)
	locked, err := lockFolder(c.folder.Name(), syscall.LOCK_EX|syscall.LOCK_NB)
	require.NoError(t, err)
	(&cgroup{folder: locked}).keepLocked()
	require.NoError(t, locked.Close())
	_, err = lockFolder(c.folder.Name(), syscall.LOCK_EX|syscall.LOCK_NB)
	require.ErrorIs(t, err, syscall.EWOULDBLOCK)
}

// TestCgroupParent_Create creates cgroups while other workers start, which kill and remove the cgroups of dead workers.
func TestCgroupParent_Create(t *testing.T) {
	t.Parallel()
	p := writableCgroup(t)
	stop := make(chan struct{})
	var starting sync.WaitGroup
	for range 2 {
		starting.Go(func() {
			for !isClosed(stop) {
				p.killDead()
			}
		})
	}
	for range 200 {
		c := p.create()
		require.NotNil(t, c)
		require.FileExists(t, filepath.Join(c.folder.Name(), cgroupProcs))
		c.remove()
	}
	close(stop)
	starting.Wait()
}
