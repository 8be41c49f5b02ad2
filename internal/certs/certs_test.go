package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv/testcerts"
	"github.com/attune-go/attune/internal/certs"
)

// bundle is a server with files.
type bundle struct {
	dir   string
	paths certs.Paths
	ca    *testcerts.CA
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{dir: t.TempDir(), ca: testcerts.NewCA(t)}
	b.issue(t, b.ca, "first")
	return b
}

// issue replaces the certificate and the key.
func (b *bundle) issue(t *testing.T, ca *testcerts.CA, name string) {
	t.Helper()
	cert, key := ca.Issue(t, name)
	b.paths.Cert, b.paths.Key = testcerts.Write(t, b.dir, "tls.crt", cert), testcerts.Write(t, b.dir, "tls.key", key)
}

func (b *bundle) open(t *testing.T) *certs.Files {
	t.Helper()
	files, err := certs.Open(b.paths)
	require.NoError(t, err)
	return files
}

// serve returns the address of a server that answers every request.
func serve(t *testing.T, files *certs.Files) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	server.TLS = files.Config()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// subject returns the name in the certificate that a server presents to a new connection.
func subject(addr string, config *tls.Config) (string, error) {
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	// With TLS 1.3 the server refuses a client's certificate after the handshake of the client.
	request := "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	if _, err := io.ReadAll(conn); err != nil {
		return "", err
	}
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestFiles_Reload(t *testing.T) {
	t.Parallel()

	t.Run("new connections get the new certificate", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		files := b.open(t)
		addr := serve(t, files)
		name, err := subject(addr, b.ca.Client(t, nil))
		require.NoError(t, err)
		require.Equal(t, "first", name)
		changed, err := files.Reload()
		require.NoError(t, err)
		require.False(t, changed, "nothing has changed")

		b.issue(t, b.ca, "second")
		changed, err = files.Reload()
		require.NoError(t, err)
		require.True(t, changed)
		name, err = subject(addr, b.ca.Client(t, nil))
		require.NoError(t, err)
		require.Equal(t, "second", name)
	})

	t.Run("files that cannot be used change nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		files := b.open(t)
		addr := serve(t, files)
		cert, key := b.ca.Issue(t, "second")
		spoil := map[string]func(){
			"a certificate without its key": func() { testcerts.Write(t, b.dir, "tls.crt", cert) },
			"no PEM":                        func() { testcerts.Write(t, b.dir, "tls.crt", []byte("hello")) },
			"no file":                       func() { require.NoError(t, os.Remove(b.paths.Cert)) },
			"a named pipe": func() {
				_ = os.Remove(b.paths.Cert)
				require.NoError(t, syscall.Mkfifo(b.paths.Cert, 0o600))
			},
		}
		for name, change := range spoil {
			_ = os.Remove(b.paths.Cert) // it can be a pipe, which has no reader
			testcerts.Write(t, b.dir, "tls.crt", nil)
			change()
			for range 2 {
				_, err := files.Reload()
				require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), "every call names the problem: %s", name)
				require.ErrorContains(t, err, "tls.crt", name)
			}
			subject, err := subject(addr, b.ca.Client(t, nil))
			require.NoError(t, err)
			require.Equal(t, "first", subject, name)
		}
		_ = os.Remove(b.paths.Cert) // it can be a pipe, which has no reader
		testcerts.Write(t, b.dir, "tls.crt", cert)
		testcerts.Write(t, b.dir, "tls.key", key)
		_, err := files.Reload()
		require.NoError(t, err)
		_, err = files.Reload()
		require.NoError(t, err, "the problem is over")
		subject, err := subject(addr, b.ca.Client(t, nil))
		require.NoError(t, err)
		require.Equal(t, "second", subject)
	})

	t.Run("no handshake fails while the files are replaced", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		files := b.open(t)
		addr := serve(t, files)
		client := b.ca.Client(t, nil)
		stop := make(chan struct{})
		var callers errgroup.Group
		for range 4 {
			callers.Go(func() error {
				for {
					_, err := subject(addr, client)
					select {
					case <-stop:
						return err
					default:
					}
					if err != nil {
						return err
					}
				}
			})
		}
		for range 20 {
			b.issue(t, b.ca, "next")
			_, err := files.Reload()
			require.NoError(t, err)
		}
		close(stop)
		require.NoError(t, callers.Wait())
	})
}

// TestFiles_Pipes starts with files that are pipes, as a shell makes them of commands.
func TestFiles_Pipes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cert, key := b.ca.Issue(t, "of a command")
	b.paths.Cert, b.paths.Key = pipeOf(t, cert), pipeOf(t, key)
	files := b.open(t)
	_, err := files.Reload()
	require.ErrorContains(t, err, b.paths.Cert+": it is not a regular file")
	name, err := subject(serve(t, files), b.ca.Client(t, nil))
	require.NoError(t, err)
	require.Equal(t, "of a command", name)
}

// pipeOf returns the path of a pipe with a content.
func pipeOf(t *testing.T, content []byte) string {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = read.Close() })
	_, err = write.Write(content)
	require.NoError(t, err)
	require.NoError(t, write.Close())
	return fmt.Sprintf("/dev/fd/%d", read.Fd())
}

func TestFiles_ClientCA(t *testing.T) {
	t.Parallel()
	b := setup(t)
	clients, others := testcerts.NewCA(t), testcerts.NewCA(t)
	b.paths.ClientCA = testcerts.Write(t, b.dir, "clients.crt", clients.PEM())
	files := b.open(t)
	addr := serve(t, files)

	_, err := subject(addr, b.ca.Client(t, clients))
	require.NoError(t, err)
	for name, config := range map[string]*tls.Config{
		"no certificate": b.ca.Client(t, nil), "a certificate of another CA": b.ca.Client(t, others),
	} {
		_, err := subject(addr, config)
		require.Error(t, err, name)
	}

	testcerts.Write(t, b.dir, "clients.crt", others.PEM())
	changed, err := files.Reload()
	require.NoError(t, err)
	require.True(t, changed)
	_, err = subject(addr, b.ca.Client(t, clients))
	require.Error(t, err, "the earlier CA is not trusted any more")
	_, err = subject(addr, b.ca.Client(t, others))
	require.NoError(t, err)
}

func TestFiles_Watch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cert, key := b.ca.Issue(t, "second")
	synctest.Test(t, func(t *testing.T) {
		files := b.open(t)
		before := files.NotAfter()
		var log strings.Builder
		ctx, stop := context.WithCancel(t.Context())
		go files.Watch(ctx, slog.New(slog.NewTextHandler(&log, nil)))
		wait := func() {
			<-time.After(certs.WatchPeriod + 1)
			synctest.Wait()
		}
		testcerts.Write(t, b.dir, "tls.crt", cert)
		wait()
		wait()
		require.Equal(t, 1, strings.Count(log.String(), "the API keeps the old ones"), "the log names a problem once: %s", log.String())
		require.Equal(t, before, files.NotAfter())
		testcerts.Write(t, b.dir, "tls.key", key)
		wait()
		require.Contains(t, log.String(), "the TLS files have changed")
		stop()
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, change := range map[string]func(*certs.Paths){
		"a missing certificate": func(p *certs.Paths) { p.Cert = filepath.Join(b.dir, "none") },
		"a missing key":         func(p *certs.Paths) { p.Key = filepath.Join(b.dir, "none") },
		"another key":           func(p *certs.Paths) { p.Key = p.Cert },
		"a client CA that is none": func(p *certs.Paths) {
			p.ClientCA = testcerts.Write(t, b.dir, "empty", []byte("hello"))
		},
	} {
		paths := b.paths
		change(&paths)
		_, err := certs.Open(paths)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), name)
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	clients := testcerts.NewCA(t)
	b.paths.ClientCA = testcerts.Write(t, b.dir, "clients.crt", clients.PEM())
	addr := serve(t, b.open(t))
	cert, key := clients.Issue(t, "ada")
	ca := testcerts.Write(t, b.dir, "ca.crt", b.ca.PEM())
	certFile, keyFile := testcerts.Write(t, b.dir, "ada.crt", cert), testcerts.Write(t, b.dir, "ada.key", key)

	config, err := certs.Client(ca, certFile, keyFile)
	require.NoError(t, err)
	name, err := subject(addr, config)
	require.NoError(t, err)
	require.Equal(t, "first", name)

	config, err = certs.Client("", "", "")
	require.NoError(t, err)
	_, err = subject(addr, config)
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown, "without --ca, the CAs of the system are trusted")

	for _, paths := range [][3]string{{filepath.Join(b.dir, "none"), "", ""}, {keyFile, "", ""}, {"", certFile, ""}, {"", "", keyFile}, {"", keyFile, certFile}} {
		_, err := certs.Client(paths[0], paths[1], paths[2])
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), "%v", paths)
	}
}
