package rabbitmq

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
)

var (
	errClosed  = errors.New("the channel was closed")
	errStopped = errors.New("the connection was stopped")
	// errSubscription is the error of a subscription that ends while its channel is open: the broker ends a subscription
	// when its queue is deleted.
	errSubscription = errors.New("the broker ended the subscription")
)

func unavailable(err error, format string, args ...any) error {
	return attune.WrapError(attune.CodeUnavailable, err, format, args...)
}

// dialError explains err and what a person can do, without the password of the URL.
func dialError(uri amqp.URI, err error) error {
	address := hostPort(uri)
	if reply, ok := errors.AsType[*amqp.Error](err); ok && (reply.Code == amqp.AccessRefused || reply.Code == amqp.NotAllowed) {
		return unavailable(err, "RabbitMQ at %s refuses user %q on vhost %q: check user, password and vhost of the broker URL",
			address, uri.Username, uri.Vhost)
	}
	return unavailable(err, "RabbitMQ at %s is not reachable: check that RabbitMQ runs and that the broker URL is right", address)
}

func hostPort(uri amqp.URI) string { return net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)) }

// reasonOf returns the end of a channel or connection as an error; a graceful end is errClosed.
func reasonOf(reply *amqp.Error) error {
	if reply == nil {
		return errClosed
	}
	return reply
}

// replyCode is the broker's code of err, or 0.
func replyCode(err error) int {
	if reply, ok := errors.AsType[*amqp.Error](err); ok {
		return reply.Code
	}
	return 0
}

// logRetry logs an error after which the caller tries again. If the broker has refused a right, the log is an error that says what to
// do, because the next try fails too.
func (c *Connection) logRetry(
	ctx context.Context, logger *slog.Logger, level slog.Level, what string, err error, attributes ...any,
) {
	attributes = append(attributes, "error", err)
	if replyCode(err) == amqp.AccessRefused {
		level = slog.LevelError
		what = "the user of the broker lacks a right: " + what
		attributes = append(attributes, "user", c.uri.Username, "do", c.config.Rights)
	}
	logger.Log(ctx, level, what, attributes...) //nolint:sloglint // the callers give constants
}

// outage reports whether err says that a service is unavailable, so that no message is at fault.
func outage(err error) bool {
	if coded, ok := errors.AsType[*attune.Error](err); ok {
		return coded.Code == attune.CodeUnavailable
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
