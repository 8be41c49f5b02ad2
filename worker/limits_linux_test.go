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

	t.Run("an action has its limits, and the next action has its own", func(t *testing.T) {
		t.Parallel()
		c := fakeCgroup(t, memoryMax, memorySwapMax, memoryOOMGroup, pidsMax)
		for _, test := range []struct {
			limits                  attune.Limits
			memory, swap, processes string
		}{
			{attune.Limits{Memory: 64 << 20, Processes: 7}, "67108864", "0", "7"},
			{attune.Limits{Processes: 8}, "max", "max", "8"},
			{attune.Limits{Memory: 1 << 30}, "1073741824", "0", "max"},
			{attune.Limits{}, "max", "max", "max"},
		} {
			require.NoError(t, c.limit(test.limits))
			require.Equal(t, test.memory, c.content(t, memoryMax))
			require.Equal(t, test.swap, c.content(t, memorySwapMax))
			require.Equal(t, test.processes, c.content(t, pidsMax))
		}
		require.Equal(t, "1", c.content(t, memoryOOMGroup))
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
		"a cgroup that counts nothing does not limit":          {cgroup: fakeCgroup(t), limits: memory, refused: "does not count memory"},
		"no cgroup does not limit memory":                      {limits: memory, refused: "does not count memory"},
		"no cgroup does not limit processes":                   {limits: processes, refused: "does not count memory"},
		"the reason is named": {
			&supervisors{unlimited: errors.New("no controller")}, nil, memory, false, "cannot enforce the limits of the action: no controller",
		},
		"a user of its own bounds processes without a cgroup": {supervisors: &supervisors{account: &account{}}, limits: processes},
		"a user of its own does not bound memory": {
			supervisors: &supervisors{account: &account{}}, limits: memory, refused: "does not count memory",
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
