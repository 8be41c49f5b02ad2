package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Policies stores the policy documents that people set, and reads those of packs.
type Policies struct{ db *DB }

// NewPolicies returns the policy documents of a database.
func NewPolicies(db *DB) *Policies { return &Policies{db: db} }

const documentSelect = `
SELECT p.id, p.scope, p.ref, p.origin, p.document, p.revision, p.principal, p.auth_method, p.on_behalf_of, p.note, p.updated_at, p.until
FROM policies p WHERE ` + documentInForce

const listDocumentsSQL = documentSelect + `
	AND ($1::bigint = 0 OR p.id < $1) ORDER BY p.id DESC LIMIT $2::bigint`

// List returns a page of the documents in force, of packs and of people.
func (p *Policies) List(ctx context.Context, page attune.Page) ([]policy.Stored, error) {
	return list(ctx, p.db, "list policies", page, scanStored, listDocumentsSQL)
}

func scanStored(row pgx.CollectableRow) (policy.Stored, error) {
	var s policy.Stored
	var principal, method, onBehalfOf, note *string
	err := row.Scan(&s.ID, &s.Scope, &s.Ref, &s.Origin, &s.Policy, &s.Revision, &principal, &method, &onBehalfOf, &note, &s.UpdatedAt,
		&s.Until)
	if principal != nil && err == nil { // the author's columns are set together
		s.Author = &attune.Author{
			Principal: attune.Principal{Name: *principal, Method: attune.AuthMethod(*method)}, OnBehalfOf: *onBehalfOf, Note: *note,
		}
	}
	return s, err
}

const scopeExistsSQL = `
SELECT CASE $1::text
	WHEN 'global' THEN $2::text = ''
	WHEN 'pack' THEN EXISTS (SELECT FROM packs WHERE name = $2)
	WHEN 'action' THEN EXISTS (SELECT FROM actions WHERE ref = $2)
	WHEN 'queue' THEN EXISTS (SELECT FROM queues WHERE key = $2) OR EXISTS (SELECT FROM actions WHERE ref = $2)
	ELSE false END`

const documentsSQL = documentSelect + ` AND p.scope = $1 AND p.ref = $2`

// Documents returns the documents in force of a scope. A reference that names nothing is [attune.CodeNotFound].
func (p *Policies) Documents(ctx context.Context, scope policy.Scope, ref string) (policy.Documents, error) {
	found, err := documentsOf(ctx, p.db.pool, scope, ref)
	return found, wrap("read policies", err)
}

func documentsOf(ctx context.Context, q querier, scope policy.Scope, ref string) (found policy.Documents, err error) {
	if exists, err := one(ctx, q, pgx.RowTo[bool], scopeExistsSQL, scope, ref); err != nil {
		return found, err
	} else if !exists {
		return found, attune.Errorf(attune.CodeNotFound, "%s %q does not exist", scope, ref)
	}
	all, err := collect(ctx, q, scanStored, documentsSQL, scope, ref)
	for i := range all {
		if all[i].Origin == policy.OriginPack {
			found.Pack = &all[i]
		} else {
			found.Person = &all[i]
		}
	}
	return found, err
}

const putDocumentSQL = `
WITH changed AS (
	INSERT INTO policies AS p (scope, ref, origin, document, until, principal, auth_method, on_behalf_of, note)
	VALUES ($1, $2, 'person', $3::json, $4, $5, $6, $7, $8)
	ON CONFLICT (scope, ref, origin) DO UPDATE SET document = EXCLUDED.document, until = EXCLUDED.until,
		principal = EXCLUDED.principal, auth_method = EXCLUDED.auth_method, on_behalf_of = EXCLUDED.on_behalf_of,
		note = EXCLUDED.note, revision = p.revision + 1, updated_at = clock_timestamp()
	RETURNING p.scope, p.ref
)` + announceChanged

const removeDocumentSQL = `
WITH changed AS (DELETE FROM policies WHERE scope = $1 AND ref = $2 AND origin = 'person' RETURNING scope, ref)` + announceChanged

// Change sets or removes the document of a person, and returns the documents of the scope after the change. Changes of documents, by
// people and by packs, happen one after the other. A reference that names nothing is [attune.CodeNotFound], and an invalid author
// [attune.CodeInvalid]. So is a document that does not fit the shared queues of the actions that it covers. The queues follow
// later: see [Queues.FollowPolicies].
func (p *Policies) Change(ctx context.Context, change policy.Change) (policy.Documents, error) {
	var after policy.Documents
	if err := change.Author.Validate(); err != nil {
		return after, err
	}
	err := p.db.inTx(ctx, "change policy", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockInstallSQL, installLock); err != nil {
			return err
		}
		found, err := documentsOf(ctx, tx, change.Scope, change.Ref)
		if err != nil {
			return err
		}
		now, err := one(ctx, tx, pgx.RowTo[time.Time], clockSQL)
		if err != nil {
			return err
		}
		draft, err := change.Decide(found, now)
		if err != nil {
			return err
		}
		if err := storeDraft(ctx, tx, change, draft); err != nil {
			return err
		}
		if draft != nil {
			if err := checkJoins(ctx, tx, change.Scope, change.Ref, draft.Policy); err != nil {
				return err
			}
		}
		after, err = documentsOf(ctx, tx, change.Scope, change.Ref)
		return err
	})
	return after, err
}

// storeDraft stores the new document of a person, or removes the document if draft is nil.
func storeDraft(ctx context.Context, tx pgx.Tx, change policy.Change, draft *policy.Draft) error {
	if draft == nil {
		_, err := tx.Exec(ctx, removeDocumentSQL, change.Scope, change.Ref)
		return err
	}
	by := change.Author
	_, err := tx.Exec(ctx, putDocumentSQL, change.Scope, change.Ref, draft.Policy, draft.Until,
		by.Principal.Name, by.Principal.Method, by.OnBehalfOf, by.Note)
	return err
}

const keyUsesOfScopeSQL = `
SELECT a.ref, a.schema, COALESCE(t.ref, ''), t.schema
FROM (VALUES ($1::text, $2::text)) AS c (scope, ref) JOIN actions a ON a.enabled AND (c.scope = 'global'
		OR c.scope = 'pack' AND a.pack = c.ref OR c.scope IN ('action', 'queue') AND a.ref = c.ref
		OR c.scope = 'queue' AND c.ref IN (SELECT n.document ->> 'queue' FROM policies n
			WHERE (n.scope, n.ref) IN (('action', a.ref), ('pack', a.pack))))
	LEFT JOIN rules r ON r.action_id = a.id AND r.declared LEFT JOIN triggers t ON t.id = r.trigger_id
ORDER BY a.ref, t.ref`

// KeyUses returns the enabled actions that a document of the scope covers, with the triggers of their rules.
func (p *Policies) KeyUses(ctx context.Context, scope policy.Scope, ref string) ([]policy.KeyUse, error) {
	uses, err := collect(ctx, p.db.pool, pgx.RowToStructByPos[policy.KeyUse], keyUsesOfScopeSQL, scope, ref)
	return uses, wrap("read the actions of a policy", err)
}
