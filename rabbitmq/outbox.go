package rabbitmq

import (
	"context"
	"errors"
	"slices"

	"github.com/attune-go/attune"
)

// PublishRows publishes outbox rows; see [Publisher.PublishRaw]. A request to cancel that no worker subscribes to is dropped:
// no worker runs its execution, and the request must not hold up the rows behind it.
func (p *Publisher) PublishRows(ctx context.Context, rows []attune.OutboxRow) error {
	envelopes := make([]Envelope, len(rows))
	for i, row := range rows {
		envelopes[i] = Envelope{RoutingKey: row.RoutingKey, MessageID: row.MessageID, Body: row.Body}
	}
	err := p.PublishRaw(ctx, envelopes...)
	if failed, ok := errors.AsType[*PublishError](err); ok && failed.Unroutable && !slices.ContainsFunc(failed.Failed, isNeeded) {
		return nil
	}
	return err
}

func isNeeded(message FailedMessage) bool {
	return message.RoutingKey != attune.KeyExecutionCancel
}
