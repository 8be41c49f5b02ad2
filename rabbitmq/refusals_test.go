package rabbitmq_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

// TestConsumer_Flood sends many more forged messages than may become dead letters.
func TestConsumer_Flood(t *testing.T) {
	t.Parallel()
	const flood = 5000
	b := setup(t)
	var handled record[attune.EnforcementID]
	b.publish(t, sequence(1, flood+1)...)
	b.run(t, rabbitmq.NewConsumer(b.conn, rabbitmq.ConsumerConfig{
		Queue: rabbitmq.QueueEnforcementCreated, MaxBatch: 1000, MaxRefused: 1, Publisher: b.publisher,
	}, func(_ context.Context, batch createdBatch) error {
		refused := map[int]error{}
		for i, m := range batch {
			if m.Enforcement <= flood {
				refused[i] = attune.Refuse(attune.RefusedSignature, "%d is forged", m.Enforcement)
				continue
			}
			handled.add(m.Enforcement)
		}
		if len(refused) == 0 {
			return nil
		}
		return &attune.BatchError{Refused: refused}
	}).Run)
	require.Equal(t, []attune.EnforcementID{flood + 1}, handled.requireLen(t, 1))
	b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
	letters, err := rabbitmq.DeadLetters(t.Context(), b.conn, flood)
	require.NoError(t, err)
	require.NotEmpty(t, letters)
	require.Less(t, len(letters), flood/2, "the others were dropped")
	lines := 0
	for _, line := range b.logged.all() {
		if line == "message failed" {
			lines++
		}
	}
	require.Less(t, lines, flood/2, "the log does not name each one")
}
