package worker

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// fakeCgroup is a folder with files that look like those of a cgroup.
func fakeCgroup(t *testing.T, files ...string) *cgroup {
	t.Helper()
	folder, err := os.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	for _, file := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder.Name(), file), nil, 0o600))
	}
	return &cgroup{folder: folder}
}

func (c *cgroup) content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.folder.Name(), file))
	require.NoError(t, err)
	return string(text)
}

func TestCgroup_Limit(t *testing.T) {
	t.Parallel()

	t.Run("an action has the limits that it declares, and no others", func(t *testing.T) {
		t.Parallel()
		for _, test := range []struct {
			limits                       attune.Limits
			memory, swap, oom, processes string
		}{
			{attune.Limits{Memory: 64 << 20, Processes: 7}, "67108864", "0", "1", "7"},
			{attune.Limits{Processes: 8}, "", "", "", "8"},
			{attune.Limits{Memory: 1 << 30}, "1073741824", "0", "1", ""},
		} {
			c := fakeCgroup(t, memoryMax, memorySwapMax, memoryOOMGroup, pidsMax)
			require.NoError(t, c.limit(test.limits))
			require.Equal(t, test.memory, c.content(t, memoryMax))
			require.Equal(t, test.swap, c.content(t, memorySwapMax))
			require.Equal(t, test.oom, c.content(t, memoryOOMGroup))
			require.Equal(t, test.processes, c.content(t, pidsMax))
		}
	})

	t.Run("kills for lack of memory are counted", func(t *testing.T) {
		t.Parallel()
		c := fakeCgroup(t, memoryEvents)
		require.Zero(t, c.outOfMemory())
		require.NoError(t, c.write(memoryEvents, "low 0\nhigh 0\nmax 31\noom 2\noom_kill 3\noom_group_kill 1\n"))
		require.Equal(t, 3, c.outOfMemory())
		require.Zero(t, (*cgroup)(nil).outOfMemory())
	})
}

// TestSupervisors_Confine has every reason why an action with limits does not start.
func TestSupervisors_Confine(t *testing.T) {
	t.Parallel()
	counting := func(t *testing.T) *cgroup { t.Helper(); return fakeCgroup(t, memoryMax, pidsMax) }
	memory, processes := attune.Limits{Memory: 1 << 20}, attune.Limits{Processes: 3}
	for name, test := range map[string]struct {
		supervisors *supervisors
		cgroup      *cgroup
		limits      attune.Limits
		confined    bool
		refused     string
	}{
		"without limits, a cgroup that counts nothing will do": {cgroup: fakeCgroup(t)},
		"without limits, no cgroup is necessary":               {},
		"an action with limits stays in its cgroup":            {cgroup: counting(t), limits: memory, confined: true},
		"processes need no controller of memory":               {cgroup: fakeCgroup(t, pidsMax), limits: processes, confined: true},
		"memory needs no controller of processes":              {cgroup: fakeCgroup(t, memoryMax), limits: memory, confined: true},
		"a cgroup that counts no memory does not limit memory": {cgroup: fakeCgroup(t, pidsMax), limits: memory, refused: "limit of memory: its " +
			`cgroup does not have the controller "memory": give the worker a cgroup with this controller (a service of systemd: Delegate=yes)`},
		"no cgroup does not limit memory": {limits: memory, refused: `controller "memory"`},
		"no cgroup does not limit processes": {limits: processes, refused: `limit of processes: its cgroup does not have the controller "pids": ` +
			"give the worker a cgroup with this controller (a service of systemd: Delegate=yes), or run actions as another user (worker.action_user)"},
		"the reason of the controller is named": {
			&supervisors{unlimited: unenforced{"memory": errors.New("no memory"), "pids": errors.New("no pids")}}, nil, processes, false,
			"cannot enforce the limit of processes: no pids: ",
		},
		"a user of its own bounds processes without a cgroup": {supervisors: &supervisors{account: &account{}}, limits: processes},
		"a user of its own bounds processes and a cgroup memory": {
			supervisors: &supervisors{account: &account{}}, cgroup: fakeCgroup(t, memoryMax), confined: true,
			limits: attune.Limits{Memory: 1 << 20, Processes: 3},
		},
		"a user of its own does not bound memory": {
			supervisors: &supervisors{account: &account{}}, limits: memory, refused: `controller "memory"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := cmp.Or(test.supervisors, new(supervisors))
			confined, err := s.confine(test.cgroup, test.limits)
			require.Equal(t, test.confined, confined)
			if test.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.refused)
			refused, ok := errors.AsType[*refusal](err)
			require.True(t, ok)
			require.Equal(t, attune.ReasonLimits, refused.reason)
		})
	}
}

// TestSupervisors_Warnings names the limits with which actions will not start.
func TestSupervisors_Warnings(t *testing.T) {
	t.Parallel()
	none := unenforced{}.all(errors.New("no cgroup"))
	require.Len(t, (&supervisors{unlimited: none}).warnings(), 2)
	own := (&supervisors{unlimited: none, account: &account{}}).warnings()
	require.Len(t, own, 1, "the processes of an own user are bounded without a cgroup")
	require.Contains(t, own[0], "limit of memory: no cgroup")
	require.Empty(t, (&supervisors{unlimited: unenforced{}}).warnings())
}
