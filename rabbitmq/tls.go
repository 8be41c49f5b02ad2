package rabbitmq

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

// plain returns the address of the broker without TLS, and what adds TLS to a connection if the URL asks for it. The library would add
// TLS below [frames], which must see the frames.
//
// readFile reads the files that the URL names. Each new connection reads them again, so the read must end.
func plain(
	address string, uri amqp.URI, readFile func(string) ([]byte, error),
) (string, func(context.Context, net.Conn) (net.Conn, error), error) {
	if uri.Scheme != "amqps" {
		return address, func(_ context.Context, conn net.Conn) (net.Conn, error) { return conn, nil }, nil
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return "", nil, fmt.Errorf("read the URL of the broker: %w", err)
	}
	parsed.Scheme, parsed.Host = "amqp", net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	config, err := tlsConfig(uri, readFile)
	return parsed.String(), func(ctx context.Context, conn net.Conn) (net.Conn, error) {
		client := tls.Client(conn, config)
		if err := client.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("start TLS: %w", err)
		}
		return client, nil
	}, err
}

// tlsConfig reads the parameters cacertfile, certfile, keyfile and server_name_indication of the URL, as the library does.
func tlsConfig(uri amqp.URI, readFile func(string) ([]byte, error)) (*tls.Config, error) {
	config := &tls.Config{ServerName: cmp.Or(uri.ServerName, uri.Host), MinVersion: tls.VersionTLS12}
	if uri.CACertFile != "" {
		data, err := readFile(uri.CACertFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of the authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("read the certificate of the authority: %q has no certificate in PEM form", uri.CACertFile)
		}
	}
	if uri.CertFile == "" || uri.KeyFile == "" {
		return config, nil
	}
	cert, certErr := readFile(uri.CertFile)
	key, keyErr := readFile(uri.KeyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("read the certificate of the client: %w", err)
	}
	certificate, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of the client: %w", err)
	}
	config.Certificates = []tls.Certificate{certificate}
	return config, nil
}
