package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Secrets stores encrypted values. It has no key, and cannot read them.
type Secrets struct{ db *DB }

// NewSecrets returns the secrets of a database.
func NewSecrets(db *DB) *Secrets { return &Secrets{db: db} }

//nolint:gosec // a statement, no credential
const secretSelect = `
SELECT s.id, s.name, s.packs, split_part(s.encrypted, '.', 2), s.revision, s.principal, s.auth_method, s.on_behalf_of, s.note,
	s.updated_at, s.encrypted
FROM secrets s`

const secretSQL = secretSelect + ` WHERE s.name = $1`

// Secret returns a secret with its encrypted value, or [attune.CodeNotFound].
func (s *Secrets) Secret(ctx context.Context, name string) (attune.EncryptedSecret, error) {
	secret, err := one(ctx, s.db.pool, scanSecret, secretSQL, name)
	return secret, wrap("read secret", orNotFound(err, "secret %q does not exist", name))
}

const secretsNamedSQL = secretSelect + ` WHERE s.name = ANY ($1::text[]) ORDER BY s.name`

// SecretsNamed returns the secrets with these names that exist, with their encrypted values.
func (s *Secrets) SecretsNamed(ctx context.Context, names []string) ([]attune.EncryptedSecret, error) {
	found, err := collect(ctx, s.db.pool, scanSecret, secretsNamedSQL, names)
	return found, wrap("read secrets", err)
}

const listSecretsSQL = secretSelect + ` WHERE ($1::bigint = 0 OR s.id < $1) ORDER BY s.id DESC LIMIT $2::bigint`

// Secrets returns a page of the secrets, newest first.
func (s *Secrets) Secrets(ctx context.Context, page attune.Page) ([]attune.Secret, error) {
	return list(ctx, s.db, "list secrets", page, func(row pgx.CollectableRow) (attune.Secret, error) {
		encrypted, err := scanSecret(row)
		return encrypted.Secret, err
	}, listSecretsSQL)
}

func scanSecret(row pgx.CollectableRow) (attune.EncryptedSecret, error) {
	var s attune.EncryptedSecret
	err := row.Scan(&s.ID, &s.Name, &s.Packs, &s.Key, &s.Revision, &s.Principal.Name, &s.Principal.Method, &s.OnBehalfOf, &s.Note,
		&s.At, &s.Encrypted)
	return s, err
}

// putSecretSQL inserts a secret if the expected revision is 0, and else updates the secret with that revision.
const putSecretSQL = `
WITH inserted AS (
	INSERT INTO secrets (name, packs, encrypted, principal, auth_method, on_behalf_of, note)
	SELECT $1, $2, $3, $5, $6, $7, $8 WHERE $4::bigint = 0
	ON CONFLICT (name) DO NOTHING RETURNING *
), updated AS (
	UPDATE secrets SET packs = $2, encrypted = $3, revision = revision + 1, principal = $5, auth_method = $6, on_behalf_of = $7,
		note = $8, updated_at = clock_timestamp()
	WHERE name = $1 AND revision = $4::bigint RETURNING *
)
SELECT s.id, s.name, s.packs, split_part(s.encrypted, '.', 2), s.revision, s.principal, s.auth_method, s.on_behalf_of, s.note,
	s.updated_at, s.encrypted
FROM (SELECT * FROM inserted UNION ALL SELECT * FROM updated) s`

// PutSecret stores a secret in the place of the one with the same name and revision; revision 0 stores a new one. If the stored secret
// has another revision, the error is [attune.CodeConflict].
func (s *Secrets) PutSecret(ctx context.Context, secret attune.EncryptedSecret) (attune.Secret, error) {
	stored, err := one(ctx, s.db.pool, scanSecret, putSecretSQL, secret.Name, orEmpty(secret.Packs), secret.Encrypted, secret.Revision,
		secret.Principal.Name, secret.Principal.Method, secret.OnBehalfOf, secret.Note)
	if errors.Is(err, pgx.ErrNoRows) {
		err = attune.Errorf(attune.CodeConflict, "secret %q was changed at the same time: try again", secret.Name)
	}
	return stored.Secret, wrap("store secret", err)
}

//nolint:gosec // a statement, no credential
const removeSecretSQL = `DELETE FROM secrets WHERE name = $1`

// RemoveSecret deletes a secret, or returns [attune.CodeNotFound].
func (s *Secrets) RemoveSecret(ctx context.Context, name string) error {
	tag, err := s.db.pool.Exec(ctx, removeSecretSQL, name)
	if err == nil && tag.RowsAffected() == 0 {
		err = attune.Errorf(attune.CodeNotFound, "secret %q does not exist", name)
	}
	return wrap("remove secret", err)
}

//nolint:gosec // a statement, no credential
const encryptedSecretsSQL = `
SELECT s.id, ARRAY[s.name] || s.packs, s.encrypted FROM secrets s WHERE s.id > $1 ORDER BY s.id LIMIT $2::bigint`

const encryptedEventsSQL = `
SELECT ev.id, ARRAY[ev.id::text, t.ref], ev.encrypted FROM events ev JOIN triggers t ON t.id = ev.trigger_id
WHERE ev.encrypted IS NOT NULL AND ev.id > $1 ORDER BY ev.id LIMIT $2::bigint`

const encryptedEnforcementsSQL = `
SELECT e.id, ARRAY[e.event_id::text, COALESCE(e.rule_id, 0)::text, a.ref], e.encrypted
FROM enforcements e JOIN actions a ON a.id = e.action_id
WHERE e.encrypted IS NOT NULL AND e.id > $1 ORDER BY e.id LIMIT $2::bigint`

const reencryptSecretSQL = `UPDATE secrets SET encrypted = $3 WHERE id = $1 AND encrypted = $2`

const reencryptEventSQL = `UPDATE events SET encrypted = $3 WHERE id = $1 AND encrypted = $2`

const reencryptEnforcementSQL = `UPDATE enforcements SET encrypted = $3 WHERE id = $1 AND encrypted = $2`

// EncryptedRows returns at most limit encrypted values of a table with ids above after, in the order of their ids.
func (s *Secrets) EncryptedRows(ctx context.Context, table attune.EncryptedTable, after int64, limit int) ([]attune.EncryptedRow, error) {
	sql, _, err := encryptedStatements(table)
	if err != nil {
		return nil, err
	}
	rows, err := collect(ctx, s.db.pool, func(row pgx.CollectableRow) (attune.EncryptedRow, error) {
		found := attune.EncryptedRow{Table: table}
		err := row.Scan(&found.ID, &found.Bound, &found.Encrypted)
		return found, err
	}, sql, after, limit)
	return rows, wrap("read encrypted values", err)
}

// Reencrypt stores another encrypted value in the place of row.Encrypted. A row that was changed meanwhile stays as it is.
func (s *Secrets) Reencrypt(ctx context.Context, row attune.EncryptedRow, encrypted string) error {
	_, sql, err := encryptedStatements(row.Table)
	if err != nil {
		return err
	}
	_, err = s.db.pool.Exec(ctx, sql, row.ID, row.Encrypted, encrypted)
	return wrap("store an encrypted value", err)
}

// encryptedStatements returns the statements that read and replace the encrypted values of a table.
func encryptedStatements(table attune.EncryptedTable) (read, replace string, err error) {
	switch table {
	case attune.EncryptedSecrets:
		return encryptedSecretsSQL, reencryptSecretSQL, nil
	case attune.EncryptedEvents:
		return encryptedEventsSQL, reencryptEventSQL, nil
	case attune.EncryptedEnforcements:
		return encryptedEnforcementsSQL, reencryptEnforcementSQL, nil
	default:
		return "", "", fmt.Errorf("table %q has no encrypted values", table)
	}
}

const keyUsesSQL = `
SELECT key, sum(secrets)::bigint, sum(events)::bigint, sum(enforcements)::bigint FROM (
	SELECT split_part(encrypted, '.', 2) AS key, 1 AS secrets, 0 AS events, 0 AS enforcements FROM secrets
	UNION ALL SELECT split_part(encrypted, '.', 2), 0, 1, 0 FROM events WHERE encrypted IS NOT NULL
	UNION ALL SELECT split_part(encrypted, '.', 2), 0, 0, 1 FROM enforcements WHERE encrypted IS NOT NULL
) v GROUP BY key ORDER BY key`

// KeyUses counts the encrypted values of each key, in the order of the ids of the keys.
func (s *Secrets) KeyUses(ctx context.Context) ([]attune.KeyUse, error) {
	uses, err := collect(ctx, s.db.pool, pgx.RowToStructByPos[attune.KeyUse], keyUsesSQL)
	return uses, wrap("count encrypted values", err)
}
