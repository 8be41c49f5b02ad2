package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Audit keeps the audit log. Nothing in attune changes or deletes an entry, except that [Audit.Finish] adds its status once.
type Audit struct{ db *DB }

// NewAudit returns the audit log of a database.
func NewAudit(db *DB) *Audit { return &Audit{db: db} }

const nextAuditIDSQL = `SELECT nextval(pg_get_serial_sequence('audit', 'id'))`

const insertAuditSQL = `
INSERT INTO audit (id, at, principal, auth_method, role, token, action, subject, on_behalf_of, note, request_id, remote, status,
	omitted, detail)
OVERRIDING SYSTEM VALUE
VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULLIF($12::integer, 0), $13, $14::json)
ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status WHERE audit.status IS NULL`

// Add adds an entry and returns its id. The time is the database's. An entry with the status 0 gets its status from [Audit.Finish].
//
// The database gives the id before it takes the entry. So an error with an id means that the entry can be in the log: the caller that
// calls Add again with this id adds no second row, and gives its status to a row that has none.
func (a *Audit) Add(ctx context.Context, e auth.AuditEntry) (auth.AuditID, error) {
	if e.ID == 0 {
		if err := a.db.pool.QueryRow(ctx, nextAuditIDSQL).Scan(&e.ID); err != nil {
			return 0, wrap("number an entry of the audit log", err)
		}
	}
	var name, method *string
	if e.Principal != nil {
		name, method = &e.Principal.Name, new(string(e.Principal.Method))
	}
	_, err := a.db.pool.Exec(ctx, insertAuditSQL, e.ID, name, method, e.Role, e.Token, e.Action,
		storable(attune.Shorten(e.Subject, auth.MaxAuditSubject)), e.OnBehalfOf, e.Note, e.RequestID,
		storable(attune.Shorten(e.Remote, auth.MaxAuditRemote)), e.Status, e.Omitted, orNull(e.Detail))
	return e.ID, wrap("add to the audit log", err)
}

const finishAuditSQL = `UPDATE audit SET status = $2 WHERE id = $1 AND status IS NULL`

// Finish records the status of an entry that was added without one. It does not change a status.
func (a *Audit) Finish(ctx context.Context, id auth.AuditID, status int) error {
	_, err := a.db.pool.Exec(ctx, finishAuditSQL, id, status)
	return wrap("finish an entry of the audit log", err)
}

const listAuditSQL = `
SELECT id, at, principal, auth_method, role, token, action, subject, on_behalf_of, note, request_id, remote,
	coalesce(status, 0), omitted, detail
FROM audit
WHERE ($1::bigint = 0 OR id < $1) AND ($3::text = '' OR principal = $3) AND ($4::text = '' OR action = $4)
	AND ($5::text = '' OR subject = $5)
ORDER BY id DESC LIMIT $2::bigint`

// List returns a page of the audit log, newest first.
func (a *Audit) List(ctx context.Context, filter auth.AuditFilter, page attune.Page) ([]auth.AuditEntry, error) {
	return list(ctx, a.db, "list the audit log", page, scanAudit, listAuditSQL, filter.Principal, filter.Action, filter.Subject)
}

func scanAudit(row pgx.CollectableRow) (e auth.AuditEntry, err error) {
	var name, method pgtype.Text
	err = row.Scan(&e.ID, &e.At, &name, &method, &e.Role, &e.Token, &e.Action, &e.Subject, &e.OnBehalfOf, &e.Note,
		&e.RequestID, &e.Remote, &e.Status, &e.Omitted, &e.Detail)
	if name.Valid {
		e.Principal = &attune.Principal{Name: name.String, Method: attune.AuthMethod(method.String)}
	}
	return e, err
}
