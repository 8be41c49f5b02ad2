package rabbitmq

import (
	"context"
	"errors"
	"slices"

	"github.com/attune-go/attune"
)

// PublishRows publishes outbox rows like [Publisher.PublishRaw]. It drops a cancel request that no worker subscribes to:
// no worker runs the execution, and the request must not delay the rows behind it.
func (p *Publisher) PublishRows(ctx context.Context, rows []attune.OutboxRow) error {
	envelopes := make([]Envelope, len(rows))
	for i, row := range rows {
		envelopes[i] = Envelope{RoutingKey: row.RoutingKey, MessageID: row.MessageID, Body: row.Body}
	}
	err := p.PublishRaw(ctx, envelopes...)
	if failed, ok := errors.AsType[*PublishError](err); ok && failed.Unroutable && !slices.ContainsFunc(failed.Failed, needsQueue) {
		return nil
	}
	return err
}

func needsQueue(message FailedMessage) bool {
	return message.RoutingKey != attune.KeyExecutionCancel
}
