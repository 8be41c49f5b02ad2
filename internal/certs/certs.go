// Package certs keeps the certificate, the key and the client CA of a TLS server as its files have them.
//
// [Open] fails for files that cannot be used. After that, [Files.Reload] replaces all three together or keeps all of them: while
// an operator replaces one file after the other, the server goes on with the old ones. A handshake uses what is current when it
// begins; connections that exist are not ended.
package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/readfile"
)

// WatchPeriod is how often [Files.Watch] reads the files.
const WatchPeriod = 10 * time.Second

// Paths names the files, in PEM.
type Paths struct {
	Cert     string // the certificate, and the intermediate ones after it
	Key      string // of the certificate
	ClientCA string // the CAs of the callers' certificates; empty: callers need no certificate
}

// Files is the current content of the files. It is safe for concurrent use.
type Files struct {
	paths   Paths
	reader  readfile.Reader
	current atomic.Pointer[tls.Config]

	mu      sync.Mutex
	seen    content // guarded by mu; what Reload has read last, also if it could not be used
	problem error   // guarded by mu; why seen cannot be used
}

// content is what the files hold.
type content struct{ cert, key, clientCA []byte }

// Open reads the files. Files that cannot be used are an [attune.CodeInvalid] error. This first read also takes pipes, and waits for
// their writers: a start can wait, and an operator sees it.
func Open(paths Paths) (*Files, error) {
	f := &Files{paths: paths}
	if _, err := f.take(os.ReadFile); err != nil {
		return nil, err
	}
	return f, nil
}

// Config returns the configuration of a server. Every handshake uses what the files held at the last [Files.Reload].
func (f *Files) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current.Load(), nil },
	}
}

// NotAfter returns when the current certificate ends.
func (f *Files) NotAfter() time.Time { return f.current.Load().Certificates[0].Leaf.NotAfter }

// Reload reads the files again, and reports whether they have changed since the last call. Files that cannot be used are an
// [attune.CodeInvalid] error at every call, and change nothing. So are files that are not regular, and a read that takes longer than
// [readfile.TimeLimit].
func (f *Files) Reload() (changed bool, err error) { return f.take(f.reader.Read) }

// take reads the files with a function, and takes over what has changed.
func (f *Files) take(readFile func(string) ([]byte, error)) (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	read, err := f.paths.read(readFile)
	if err != nil {
		return false, err
	}
	if read.equal(f.seen) {
		return false, f.problem
	}
	config, err := f.paths.config(read)
	f.seen, f.problem = read, err
	if err == nil {
		f.current.Store(config)
	}
	return true, err
}

// Watch reads the files every [WatchPeriod] until ctx ends, and logs changes.
func (f *Files) Watch(ctx context.Context, log *slog.Logger) {
	ticker := time.NewTicker(WatchPeriod)
	defer ticker.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed, err := f.Reload()
		switch {
		case err != nil && (changed || err.Error() != failed):
			failed = err.Error()
			log.ErrorContext(ctx, "the TLS files cannot be used, the API keeps the old ones", "error", err)
		case err == nil && changed:
			failed = ""
			log.InfoContext(ctx, "the TLS files have changed", "valid_until", f.NotAfter())
		}
	}
}

func (p Paths) read(readFile func(string) ([]byte, error)) (content, error) {
	var c content
	for _, file := range []struct {
		path string
		into *[]byte
	}{{p.Cert, &c.cert}, {p.Key, &c.key}, {p.ClientCA, &c.clientCA}} {
		if file.path == "" {
			continue
		}
		data, err := readFile(file.path)
		if err != nil {
			return content{}, attune.WrapError(attune.CodeInvalid, err, "TLS")
		}
		*file.into = data
	}
	return c, nil
}

func (c content) equal(other content) bool {
	return bytes.Equal(c.cert, other.cert) && bytes.Equal(c.key, other.key) && bytes.Equal(c.clientCA, other.clientCA)
}

// config returns the configuration of a handshake. It has no session tickets: a caller could resume a session of an earlier CA.
func (p Paths) config(c content) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, attune.WrapError(attune.CodeInvalid, err, "TLS: the certificate %q and the key %q cannot be used", p.Cert, p.Key)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}
	if p.ClientCA == "" {
		return config, nil
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if config.ClientCAs, err = pool(c.clientCA); err != nil {
		return nil, attune.WrapError(attune.CodeInvalid, err, "TLS: the client CA %q cannot be used", p.ClientCA)
	}
	return config, nil
}

// Client returns the configuration of a client. ca is the file of the CAs that it trusts; empty means those of the system. cert
// and key are the files of its own certificate; empty for none. A file that cannot be used is an [attune.CodeInvalid] error.
func Client(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		data, err := os.ReadFile(ca)
		if err == nil {
			config.RootCAs, err = pool(data)
		}
		if err != nil {
			return nil, attune.WrapError(attune.CodeInvalid, err, "the CA %q cannot be used", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, attune.WrapError(attune.CodeInvalid, err, "the client certificate %q and the key %q cannot be used", cert, key)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func pool(data []byte) (*x509.CertPool, error) {
	all := x509.NewCertPool()
	if !all.AppendCertsFromPEM(data) {
		return nil, errors.New("no certificate in PEM form")
	}
	return all, nil
}
