package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Tokens keeps the tokens of the API. Times are by the database's clock.
type Tokens struct{ db *DB }

// NewTokens returns the tokens of a database.
func NewTokens(db *DB) *Tokens { return &Tokens{db: db} }

const insertTokenSQL = `
INSERT INTO tokens (name, role, triggers, created_at, created_by, created_method, expires_at)
VALUES ($1, $2, $3, clock_timestamp(), $4, $5, clock_timestamp() + $6::bigint * interval '1 millisecond') RETURNING id`

const insertTokenSecretSQL = `
INSERT INTO token_secrets (prefix, token_id, digest, created_at) VALUES ($1, $2, $3, clock_timestamp())`

// Create adds a token with its secret. An invalid request is [attune.CodeInvalid]. A name that a token has which is not revoked is
// [attune.CodeConflict], also when that token has expired.
func (t *Tokens) Create(ctx context.Context, request auth.TokenRequest, secret auth.Secret, by attune.Principal) (auth.Token, error) {
	if err := request.Validate(); err != nil {
		return auth.Token{}, err
	}
	var created auth.Token
	err := t.db.inTx(ctx, "create token", func(tx pgx.Tx) error {
		var id auth.TokenID
		err := tx.QueryRow(ctx, insertTokenSQL, request.Name, request.Role, orEmpty(texts(request.Triggers)), by.Name, by.Method,
			orNullLife(request.Life)).Scan(&id)
		if err != nil {
			return err
		}
		created, err = t.addSecret(ctx, tx, id, secret)
		return err
	})
	return created, err
}

// addSecret adds a secret to a token and returns the token.
func (t *Tokens) addSecret(ctx context.Context, tx pgx.Tx, id auth.TokenID, secret auth.Secret) (auth.Token, error) {
	if _, err := tx.Exec(ctx, insertTokenSecretSQL, secret.Prefix, id, secret.Digest[:]); err != nil {
		return auth.Token{}, err
	}
	return one(ctx, tx, scanToken, tokenByIDSQL, id)
}

const lockTokenSQL = `
SELECT id, COALESCE(expires_at <= clock_timestamp(), false)
FROM tokens WHERE name = $1 AND revoked_at IS NULL FOR NO KEY UPDATE`

const extendTokenSQL = `
UPDATE tokens SET expires_at = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE id = $1 AND $2::bigint IS NOT NULL`

const retireTokenSecretsSQL = `
UPDATE token_secrets SET valid_until = clock_timestamp() + $2::bigint * interval '1 millisecond'
WHERE token_id = $1 AND (valid_until IS NULL OR valid_until > clock_timestamp() + $2::bigint * interval '1 millisecond')`

// Rotate gives a token another secret. Its earlier secrets stay valid for keepOld, unless the token has expired. With a life, the
// token expires after that time, counted from now; without one, the expiry stays. A name without a token that is not revoked is
// [attune.CodeNotFound]. A token that has expired needs a life, or the error is [attune.CodeConflict].
func (t *Tokens) Rotate(
	ctx context.Context, name string, secret auth.Secret, keepOld, life time.Duration,
) (rotated auth.Token, err error) {
	err = t.db.inTx(ctx, "rotate token", func(tx pgx.Tx) error {
		var id auth.TokenID
		var expired bool
		if err := tx.QueryRow(ctx, lockTokenSQL, name).Scan(&id, &expired); err != nil {
			return orNotFound(err, "there is no token %q", name)
		}
		if expired && life == 0 {
			return attune.Errorf(attune.CodeConflict, "the token %q has expired: rotate it with a new expiry", name)
		}
		if expired {
			keepOld = 0 // a new expiry must not revive a secret that was already worth nothing
		}
		batch := new(pgx.Batch)
		batch.Queue(extendTokenSQL, id, orNullLife(life))
		batch.Queue(retireTokenSecretsSQL, id, keepOld.Milliseconds())
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		rotated, err = t.addSecret(ctx, tx, id, secret)
		return err
	})
	return rotated, err
}

const revokeTokenSQL = `
UPDATE tokens SET revoked_at = clock_timestamp(), revoked_by = $2, revoked_method = $3
WHERE name = $1 AND revoked_at IS NULL RETURNING id`

// Revoke ends a token with all its secrets. A name without a token that is not revoked is [attune.CodeNotFound].
func (t *Tokens) Revoke(ctx context.Context, name string, by attune.Principal) (revoked auth.Token, err error) {
	err = t.db.inTx(ctx, "revoke token", func(tx pgx.Tx) error {
		var id auth.TokenID
		if err := tx.QueryRow(ctx, revokeTokenSQL, name, by.Name, by.Method).Scan(&id); err != nil {
			return orNotFound(err, "there is no token %q", name)
		}
		revoked, err = one(ctx, tx, scanToken, tokenByIDSQL, id)
		return err
	})
	return revoked, err
}

const tokenColumns = `t.id, t.name, t.role, t.triggers, t.created_at, t.created_by, t.created_method, t.expires_at,
	t.last_used_at, t.revoked_at, t.revoked_by, t.revoked_method`

// The secrets are those that a caller can still use.
const tokenSelect = `
SELECT ` + tokenColumns + `, s.prefixes, s.created, s.valid
FROM tokens t CROSS JOIN LATERAL (
	SELECT array_agg(prefix ORDER BY created_at DESC, prefix) AS prefixes,
		array_agg(created_at ORDER BY created_at DESC, prefix) AS created,
		array_agg(valid_until ORDER BY created_at DESC, prefix) AS valid
	FROM token_secrets
	WHERE token_id = t.id AND t.revoked_at IS NULL AND (valid_until IS NULL OR valid_until > clock_timestamp())
) s`

const tokenByIDSQL = tokenSelect + ` WHERE t.id = $1`

const listTokensSQL = tokenSelect + `
WHERE ($1::bigint = 0 OR t.id < $1) AND ($3::boolean OR t.revoked_at IS NULL) ORDER BY t.id DESC LIMIT $2::bigint`

// List returns a page of tokens, newest first, with or without the revoked ones.
func (t *Tokens) List(ctx context.Context, revoked bool, page attune.Page) ([]auth.Token, error) {
	return list(ctx, t.db, "list tokens", page, scanToken, listTokensSQL, revoked)
}

// tokenFields receives tokenColumns.
type tokenFields struct {
	auth.Token

	triggers                 []string
	revokedBy, revokedMethod pgtype.Text
}

func (f *tokenFields) targets() []any {
	return []any{
		&f.ID, &f.Name, &f.Role, &f.triggers, &f.CreatedAt, &f.CreatedBy.Name, &f.CreatedBy.Method, &f.ExpiresAt,
		&f.LastUsedAt, &f.RevokedAt, &f.revokedBy, &f.revokedMethod,
	}
}

func (f *tokenFields) token() auth.Token {
	for _, trigger := range f.triggers {
		f.Triggers = append(f.Triggers, attune.Ref(trigger))
	}
	if f.revokedBy.Valid {
		f.RevokedBy = &attune.Principal{Name: f.revokedBy.String, Method: attune.AuthMethod(f.revokedMethod.String)}
	}
	return f.Token
}

func scanToken(row pgx.CollectableRow) (auth.Token, error) {
	var f tokenFields
	var prefixes []string
	var created []time.Time
	var valid []*time.Time
	if err := row.Scan(append(f.targets(), &prefixes, &created, &valid)...); err != nil {
		return auth.Token{}, err
	}
	token := f.token()
	for i, prefix := range prefixes {
		token.Secrets = append(token.Secrets, auth.TokenSecret{Prefix: prefix, CreatedAt: created[i], ValidUntil: valid[i]})
	}
	return token, nil
}

const findTokenSecretSQL = `
SELECT ` + tokenColumns + `, s.prefix, s.digest, s.valid_until
FROM token_secrets s JOIN tokens t ON t.id = s.token_id WHERE s.prefix = $1`

// FindSecret returns the secret with a prefix, and its token, valid or not. Without one, the error is [attune.CodeNotFound].
func (t *Tokens) FindSecret(ctx context.Context, prefix string) (auth.StoredSecret, error) {
	found, err := one(ctx, t.db.pool, scanTokenSecret, findTokenSecretSQL, prefix)
	return found, wrap("find token", orNotFound(err, "there is no token with this prefix"))
}

func scanTokenSecret(row pgx.CollectableRow) (found auth.StoredSecret, err error) {
	var f tokenFields
	var digest []byte
	err = row.Scan(append(f.targets(), &found.Prefix, &digest, &found.ValidUntil)...)
	copy(found.Digest[:], digest)
	found.Token = f.token()
	return found, err
}

// Several processes may record the same use: the first one of each minute counts.
const recordTokenUseSQL = `
UPDATE tokens SET last_used_at = clock_timestamp()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')`

// RecordUse records that a token is used now.
func (t *Tokens) RecordUse(ctx context.Context, id auth.TokenID) error {
	_, err := t.db.pool.Exec(ctx, recordTokenUseSQL, id)
	return wrap("record the use of a token", err)
}

// orNullLife returns milliseconds, or NULL for a token that does not expire.
func orNullLife(life time.Duration) *int64 {
	if life == 0 {
		return nil
	}
	return new(milliseconds(life))
}

func texts[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, value := range values {
		list[i] = string(value)
	}
	return list
}
