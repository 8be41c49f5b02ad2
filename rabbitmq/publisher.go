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
	// publishTimeout bounds one call of Publish whose context has no earlier deadline: a broker with an alarm, or a quorum
	// queue without its majority, does not confirm.
	publishTimeout = 30 * time.Second
	// connectTimeout bounds the wait for a connection within that time.
	connectTimeout = retry.MaxPause
	// stuckGrace is how long send waits for the channel's own error after the context has ended.
	stuckGrace = 100 * time.Millisecond
	// publishChannels bounds the number of concurrent calls.
	publishChannels = 16
)

var errUnconfirmed = fmt.Errorf("no confirmation within %s", publishTimeout)

// Publisher publishes to attune's exchange and waits for the broker's confirmation. It is safe for concurrent use: each
// call uses a channel of its own, so that no call receives another call's confirmations or returns.
type Publisher struct {
	conn  *Connection
	slots chan struct{} // one token per running call

	mu   sync.Mutex
	idle []*confirmChannel // a stack, guarded by mu
}

// NewPublisher returns a publisher on conn. It opens channels when they are first needed.
func NewPublisher(conn *Connection) *Publisher {
	return &Publisher{conn: conn, slots: make(chan struct{}, publishChannels)}
}

// Publish sends messages in order, without a pause between them. It returns nil only when the broker has confirmed every
// message and returned none. Otherwise the error has
//
//   - [attune.CodeInvalid] when a message cannot be encoded or is larger than the broker accepts;
//   - [attune.CodeUnavailable] in every other case. The caller may publish the same messages again; a message that is
//     reported as failed may have arrived.
//
// A [*PublishError] in its chain names the failed messages; without one, no message was sent.
//
// Publish waits up to 5 s for a connection, and up to 30 s in all. It waits less if ctx ends earlier.
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

// PublishRaw is [Publisher.Publish] for encoded messages. The caller must not change a body afterwards: after an error
// the library may still be sending it.
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

// send publishes batch on its own channel. A blocked write to a socket cannot be interrupted, so the channel works in the
// background. It becomes idle when it has finished, not when send returns.
func (p *Publisher) send(ctx context.Context, batch []outgoing) error {
	if len(batch) == 0 {
		return nil
	}
	if ctx.Err() != nil { // an idle channel would publish although ctx has ended
		return p.failed(batch, everyIndex(batch), context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, publishTimeout, errUnconfirmed)
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
		ch := p.confirmChannel()
		failed, err := ch.publish(ctx, batch)
		p.release(ch)
		done <- outcome{failed, err}
	}()
	select {
	case o := <-done:
		return p.failed(batch, o.failed, o.err)
	case <-ctx.Done():
	}
	select { // a channel that is not stuck reports the end of ctx with more detail
	case o := <-done:
		return p.failed(batch, o.failed, o.err)
	case <-time.After(stuckGrace):
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
	ch := p.idle[last]
	p.idle = p.idle[:last]
	return ch
}

func (p *Publisher) release(ch *confirmChannel) {
	p.mu.Lock()
	p.idle = append(p.idle, ch)
	p.mu.Unlock()
	<-p.slots
}

// failed builds the caller's error from the result of a channel.
func (p *Publisher) failed(batch []outgoing, indexes []int, cause error) error {
	if cause == nil {
		return nil
	}
	if reason := p.conn.blockedReason(); reason != "" {
		cause = fmt.Errorf("%w; the broker accepts no messages at present: %s", cause, reason)
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

// PublishError names the messages of one call that were not published; all other messages were published. It is in the
// chain of an error of [Publisher.Publish].
type PublishError struct {
	Failed     []FailedMessage // in the order of the call
	Total      int             // number of messages in the call
	Unroutable bool            // the broker accepted the messages, but no queue takes them
	Cause      error
}

// FailedMessage is a message that was not published, or whose publishing was not confirmed.
type FailedMessage struct {
	Index      int // index in the call's messages
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
