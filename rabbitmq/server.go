package rabbitmq

import (
	"context"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// probeCloseTimeout bounds the close of the connection that [ServerVersion] opens.
const probeCloseTimeout = time.Second

// ServerVersion opens a new connection and returns the broker's version. A healthy broker accepts new connections;
// otherwise the error is [attune.CodeUnavailable] and does not contain the URL.
func ServerVersion(ctx context.Context, url string) (string, error) {
	link, err := amqp.DialConfig(url, amqp.Config{Dial: func(network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if deadline, ok := ctx.Deadline(); ok && err == nil {
			err = conn.SetDeadline(deadline) // for the handshake; the library removes it afterwards
		}
		return conn, err
	}})
	if err != nil {
		return "", attune.WrapError(attune.CodeUnavailable, err, "RabbitMQ accepts no new connection")
	}
	defer func() { _ = link.CloseDeadline(time.Now().Add(probeCloseTimeout)) }() // a slow close is no sign of bad health
	version, _ := link.Properties["version"].(string)
	return version, nil
}
