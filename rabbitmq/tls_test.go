package rabbitmq_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/rabbitmq"
)

// TestConnection_TLS connects through an end of TLS in front of the broker.
func TestConnection_TLS(t *testing.T) {
	t.Parallel()
	b := setup(t)
	address, err := url.Parse(b.url)
	require.NoError(t, err)
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server.TLS.Clone())
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	broker := address.Host
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go forward(conn, broker)
		}
	}()
	authority := filepath.Join(t.TempDir(), "authority.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(authority, data, 0o600))
	address.Scheme, address.Host = "amqps", listener.Addr().String()

	unknown := rabbitmq.NewConnection(rabbitmq.Config{URL: address.String(), Logger: b.logger})
	b.run(t, unknown.Run)
	b.requireLogged(t, "broker connection is down", 1)
	address.RawQuery = url.Values{"cacertfile": {authority}}.Encode()
	require.NoError(t, b.connect(t, address.String()).Ping(t.Context()))
	require.Error(t, unknown.Ping(t.Context()), "the authority of the certificate is not known")

	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for problem, files := range map[string]url.Values{ // nothing ever writes to the pipe
		"authority.pem.none": {"cacertfile": {authority + ".none"}},
		"not a regular file": {"cacertfile": {pipe}},
		"of the client":      {"certfile": {pipe}, "keyfile": {authority}},
		"no certificate":     {"cacertfile": {empty}},
	} {
		address.RawQuery = files.Encode()
		broken := rabbitmq.NewConnection(rabbitmq.Config{URL: address.String(), Logger: b.logger})
		b.run(t, broken.Run)
		require.Eventually(t, func() bool {
			err := broken.Ping(t.Context())
			return err != nil && strings.Contains(err.Error(), problem)
		}, testTimeout, tick, problem)
	}
}

// forward copies bytes between a connection and an address until one of them ends.
func forward(conn net.Conn, address string) {
	defer conn.Close()
	other, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer other.Close()
	go func() {
		_, _ = io.Copy(other, conn)
		_ = other.Close()
	}()
	_, _ = io.Copy(conn, other)
}
