package rabbitmq

import (
	"context"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

// goodbyePatience bounds the close of a connection that was only opened to see whether the broker takes one.
const goodbyePatience = time.Second

// ServerVersion opens a connection of its own and returns the version that the broker states on it: that the broker takes
// new connections is part of its health. Otherwise the error is [attune.CodeUnavailable] and does not repeat the URL.
func ServerVersion(ctx context.Context, url string) (string, error) {
	link, err := amqp.DialConfig(url, amqp.Config{Dial: func(network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if deadline, ok := ctx.Deadline(); ok && err == nil {
			err = conn.SetDeadline(deadline) // of the handshake; the library lifts it afterwards
		}
		return conn, err
	}})
	if err != nil {
		return "", attune.WrapError(attune.CodeUnavailable, err, "RabbitMQ takes no new connection")
	}
	defer func() { _ = link.CloseDeadline(time.Now().Add(goodbyePatience)) }() // a slow goodbye says nothing about the broker's health
	version, _ := link.Properties["version"].(string)
	return version, nil
}
