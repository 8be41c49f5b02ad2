package postgres_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestKeepAlive reads from the kernel that connections of the pool and of a relay end when their server is lost.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pooled, err := b.db.Conn(t.Context())
	require.NoError(t, err)
	defer pooled.Release()
	session, err := b.outbox.Session(t.Context())
	require.NoError(t, err)
	defer session.Close(t.Context())

	for name, conn := range map[string]*pgx.Conn{"pool": pooled.Conn(), "relay": session} {
		tcp, ok := conn.PgConn().Conn().(*net.TCPConn)
		require.True(t, ok, name)
		raw, err := tcp.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			for _, option := range []struct{ level, name, want int }{
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 5},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3},
			} {
				value, err := syscall.GetsockoptInt(int(fd), option.level, option.name)
				require.NoError(t, err)
				require.Equal(t, option.want, value, "%s: option %d", name, option.name)
			}
		}))
	}
}
