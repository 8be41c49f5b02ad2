package readfile

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReader_Read(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	pipe, link, linkToPipe := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "link-to-pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.Symlink("file", link))
	require.NoError(t, os.Symlink(pipe, linkToPipe))
	large := filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, maxBytes+1))
	var r Reader

	for _, good := range []string{path, link} {
		data, err := r.Read(good)
		require.NoError(t, err)
		require.Equal(t, "content", string(data))
	}
	for _, bad := range []string{pipe, linkToPipe, dir, "/dev/null", large, filepath.Join(dir, "none")} {
		_, err := r.Read(bad)
		require.ErrorContains(t, err, bad)
	}
	_, err := r.Read(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Empty(t, r.running)
}

func TestReader_Hangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		var reads atomic.Int32
		r := Reader{read: func(string) ([]byte, error) {
			reads.Add(1)
			<-answer
			return []byte("late"), nil
		}}
		for range 3 {
			start := time.Now()
			_, err := r.Read("/mnt/tls.key")
			require.ErrorContains(t, err, "read /mnt/tls.key: no answer in 5s")
			require.Equal(t, TimeLimit, time.Since(start))
		}
		require.Equal(t, int32(1), reads.Load(), "a hanging mount costs one thread, however often it is asked")
		close(answer)
		synctest.Wait()
		data, err := r.Read("/mnt/tls.key")
		require.NoError(t, err)
		require.Equal(t, "late", string(data))
		require.Equal(t, int32(2), reads.Load(), "after that, the file is read again")
	})
}
