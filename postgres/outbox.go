package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Outbox stores messages until they are published. A message is written in the same transaction as the change that it
// announces.
type Outbox struct {
	db     *DB
	timing leadTiming
}

// NewOutbox returns the outbox of a database.
func NewOutbox(db *DB) *Outbox { return &Outbox{db: db, timing: defaultLeadTiming()} }

const pendingSQL = `SELECT id, routing_key, message_id, body FROM outbox ORDER BY id LIMIT $1`

// outboxTimeout bounds the statements of the relay. It is shorter than for other statements, because every message of the
// outbox waits for the relay.
const outboxTimeout = 10 * time.Second

// Pending returns up to limit messages, oldest first. It fails after 10 s.
func (o *Outbox) Pending(ctx context.Context, limit int) (rows []attune.OutboxRow, err error) {
	err = within(ctx, outboxTimeout, func(ctx context.Context) (err error) {
		rows, err = collect(ctx, o.db.pool, pgx.RowToStructByPos[attune.OutboxRow], pendingSQL, limit)
		return err
	})
	return rows, wrap("read outbox", err)
}

const removeSQL = `DELETE FROM outbox WHERE id = ANY ($1::bigint[])`

// Remove deletes published messages. It ignores unknown ids. It fails after 10 s.
func (o *Outbox) Remove(ctx context.Context, ids []int64) error {
	return wrap("remove from outbox", within(ctx, outboxTimeout, func(ctx context.Context) error {
		_, err := o.db.pool.Exec(ctx, removeSQL, ids)
		return err
	}))
}

// outboxChannel is the NOTIFY channel that wakes the relay.
const outboxChannel = "attune_outbox"

// postSQL inserts and notifies in one statement. PostgreSQL delivers the notification when the rows are committed.
const postSQL = `
WITH posted AS (
	INSERT INTO outbox (routing_key, message_id, body)
	SELECT u.routing_key, u.message_id, u.body::json
	FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS u (routing_key, message_id, body, position)
	ORDER BY u.position
)
SELECT pg_notify($4, '')`

// post adds messages to the outbox, in the order given, as part of a transaction.
func post(ctx context.Context, tx pgx.Tx, messages ...attune.Message) error {
	if len(messages) == 0 {
		return nil
	}
	keys, ids, bodies := make([]string, len(messages)), make([]string, len(messages)), make([]string, len(messages))
	for i, message := range messages {
		body, err := json.Marshal(message)
		if err != nil {
			return fmt.Errorf("encode message %q: %w", message.MessageID(), err)
		}
		keys[i], ids[i], bodies[i] = message.RoutingKey(), message.MessageID(), string(body)
	}
	_, err := tx.Exec(ctx, postSQL, keys, ids, bodies, outboxChannel)
	return err
}

const backlogSQL = `
SELECT count(*), COALESCE(extract(epoch FROM clock_timestamp() - min(o.created_at)), 0)::double precision FROM outbox o`

// Backlog returns the number of messages in the outbox and the age of the oldest one.
func (o *Outbox) Backlog(ctx context.Context) (attune.OutboxBacklog, error) {
	backlog, err := one(ctx, o.db.pool, func(row pgx.CollectableRow) (b attune.OutboxBacklog, err error) {
		var oldest float64
		err = row.Scan(&b.Rows, &oldest)
		b.Oldest = max(0, seconds(oldest))
		return b, err
	}, backlogSQL)
	return backlog, wrap("count the outbox", err)
}
