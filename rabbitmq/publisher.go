package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

const (
	// publishPatience bounds one call of Publish whose context has no earlier deadline: a broker whose alarm is on, or
	// a quorum queue without its majority, does not confirm.
	publishPatience = 30 * time.Second
	// connectPatience bounds the part of it spent without a connection.
	connectPatience = retry.MaxPause
	// stuckPatience is what a channel gets to say why it failed when the context ends.
	stuckPatience = 100 * time.Millisecond
	// publishChannels bounds how many calls publish at the same time.
	publishChannels = 16
)

var errUnconfirmed = fmt.Errorf("no confirmation within %s", publishPatience)

// Publisher publishes to attune's exchange and waits for the broker's confirmation. It is safe for concurrent use: each
// call has a channel of its own while it runs, so that no call sees another's confirmations or returns.
type Publisher struct {
	conn  *Connection
	slots chan struct{} // one token per call that may run

	mu   sync.Mutex
	idle []*confirmChannel // the last one used is the next one used
}

// NewPublisher returns a publisher on conn. Channels are opened when they are first needed.
func NewPublisher(conn *Connection) *Publisher {
	return &Publisher{conn: conn, slots: make(chan struct{}, publishChannels)}
}

// Publish sends messages in order, without waiting in between, and returns nil only when the broker has confirmed every
// one and returned none. Otherwise the error has
//
//   - [attune.CodeInvalid] when a message cannot be sent at all, or is larger than the broker takes;
//   - [attune.CodeUnavailable] in every other case. Publishing the same messages again is right; those that are reported
//     as failed may have arrived all the same.
//
// A [*PublishError] in its chain names the messages that failed; without one, none was sent.
//
// A missing connection is waited for, up to 5 s; a missing confirmation, up to 30 s in all; both less if ctx ends earlier.
func (p *Publisher) Publish(ctx context.Context, messages ...attune.Message) error {
	envelopes := make([]Envelope, len(messages))
	for i, message := range messages {
		envelope, err := encode(message)
		if err != nil {
			return err
		}
		envelopes[i] = envelope
	}
	return p.PublishRaw(ctx, envelopes...)
}

// PublishRaw is [Publisher.Publish] for messages that are already encoded. A body must not be changed afterwards: after an
// error it may still be on its way.
func (p *Publisher) PublishRaw(ctx context.Context, envelopes ...Envelope) error {
	batch := make([]outgoing, len(envelopes))
	for i, envelope := range envelopes {
		if err := envelope.validate(); err != nil {
			return err
		}
		batch[i] = envelope.outgoing()
	}
	return p.send(ctx, batch)
}

// send publishes batch on a channel of its own. A socket that takes no more bytes cannot be interrupted, so the channel works in
// the background and is idle again when it has finished, not when send returns.
func (p *Publisher) send(ctx context.Context, batch []outgoing) error {
	if len(batch) == 0 {
		return nil
	}
	if ctx.Err() != nil { // a free channel would publish all the same
		return p.failed(batch, everyIndex(batch), context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, publishPatience, errUnconfirmed)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return p.failed(batch, everyIndex(batch), context.Cause(ctx))
	}
	type outcome struct {
		failed []int
		err    error
	}
	done := make(chan outcome, 1)
	go func() { // may outlive the call
		own := p.confirmChannel()
		failed, err := own.publish(ctx, batch)
		p.release(own)
		done <- outcome{failed, err}
	}()
	select {
	case o := <-done:
		return p.failed(batch, o.failed, o.err)
	case <-ctx.Done():
	}
	select { // a channel that is not stuck has noticed too, and knows more
	case o := <-done:
		return p.failed(batch, o.failed, o.err)
	case <-time.After(stuckPatience):
		return p.failed(batch, everyIndex(batch), context.Cause(ctx))
	}
}

func (p *Publisher) confirmChannel() *confirmChannel {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return &confirmChannel{conn: p.conn}
	}
	last := len(p.idle) - 1
	own := p.idle[last]
	p.idle = p.idle[:last]
	return own
}

func (p *Publisher) release(own *confirmChannel) {
	p.mu.Lock()
	p.idle = append(p.idle, own)
	p.mu.Unlock()
	<-p.slots
}

// failed turns what a channel found out into the caller's error.
func (p *Publisher) failed(batch []outgoing, indexes []int, cause error) error {
	if cause == nil {
		return nil
	}
	if reason := p.conn.blockedReason(); reason != "" {
		cause = fmt.Errorf("%w; the broker accepts no messages now: %s", cause, reason)
	}
	detail := &PublishError{Total: len(batch), Cause: cause}
	for _, i := range slices.Sorted(slices.Values(indexes)) {
		detail.Failed = append(detail.Failed, FailedMessage{
			Index: i, RoutingKey: batch[i].key, MessageID: batch[i].publishing.MessageId,
		})
	}
	detail.Unroutable = errors.Is(cause, errUnroutable)
	code := attune.CodeUnavailable
	if replyCode(cause) == amqp.PreconditionFailed { // a message larger than the broker allows
		code = attune.CodeInvalid
	}
	return attune.WrapError(code, detail, "%s", detail.summary())
}

// PublishError names the messages of one call that were not published; those it does not name were. It is in the chain of
// an error of [Publisher.Publish].
type PublishError struct {
	Failed     []FailedMessage // in the order of the call
	Total      int             // messages of the call
	Unroutable bool            // the broker took them, but no queue did
	Cause      error
}

// FailedMessage is a message that was not published, or not known to be.
type FailedMessage struct {
	Index      int // its place in the call
	RoutingKey string
	MessageID  string
}

func (e *PublishError) Error() string { return e.Cause.Error() }

func (e *PublishError) Unwrap() error { return e.Cause }

func (e *PublishError) summary() string {
	keys := make([]string, 0, len(e.Failed))
	for _, f := range e.Failed {
		keys = append(keys, fmt.Sprintf("%q", f.RoutingKey))
	}
	slices.Sort(keys)
	named := strings.Join(slices.Compact(keys), ", ")
	if e.Unroutable {
		return fmt.Sprintf("%d of %d messages were not published: no queue takes %s", len(e.Failed), e.Total, named)
	}
	return fmt.Sprintf("%d of %d messages were not published (%s)", len(e.Failed), e.Total, named)
}

func everyIndex(batch []outgoing) []int {
	indexes := make([]int, len(batch))
	for i := range batch {
		indexes[i] = i
	}
	return indexes
}
