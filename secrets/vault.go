package secrets

import (
	"context"
	"slices"

	"github.com/attune-go/attune"
)

// Store keeps encrypted secrets. An unknown name is an [attune.CodeNotFound] error.
type Store interface {
	Secret(ctx context.Context, name string) (attune.EncryptedSecret, error)
	// Secrets returns a page of the secrets, newest first.
	Secrets(ctx context.Context, page attune.Page) ([]attune.Secret, error)
	// PutSecret stores a secret in the place of the one with the same name and revision. Revision 0 stores a new one. If the stored
	// secret has another revision, the error is [attune.CodeConflict].
	PutSecret(ctx context.Context, secret attune.EncryptedSecret) (attune.Secret, error)
	RemoveSecret(ctx context.Context, name string) error
}

// Rows gives access to every encrypted value of the database.
type Rows interface {
	// EncryptedRows returns at most limit rows of a table with ids above after, in the order of their ids.
	EncryptedRows(ctx context.Context, table attune.EncryptedTable, after int64, limit int) ([]attune.EncryptedRow, error)
	// Reencrypt stores another encrypted value in the place of row.Encrypted. A row that was changed meanwhile stays as it is.
	Reencrypt(ctx context.Context, row attune.EncryptedRow, encrypted string) error
}

// Vault encrypts secrets and stores them. It never returns a value.
type Vault struct {
	keys  *Keyring
	store Store
	rows  Rows
}

// NewVault returns a vault. With a ring without keys, it lists and removes secrets, and sets none.
func NewVault(keys *Keyring, store Store, rows Rows) *Vault {
	return &Vault{keys: keys, store: store, rows: rows}
}

// Change says what to set of a secret.
type Change struct {
	Name   string
	Value  *string   // nil keeps the value; a new secret needs one
	Packs  *[]string // the packs that may ask for the secret; nil keeps them, and means none for a new secret
	Author attune.Author
}

// Set creates or changes a secret. A wrong name, value or pack is an [attune.CodeInvalid] error, also a new secret without a value. An
// installation without a key is an [attune.CodeUnavailable] error, and two changes at the same time are [attune.CodeConflict].
func (v *Vault) Set(ctx context.Context, change Change) (attune.Secret, error) {
	if err := change.check(); err != nil {
		return attune.Secret{}, err
	}
	stored, err := v.store.Secret(ctx, change.Name)
	isNew := attune.CodeOf(err) == attune.CodeNotFound
	switch {
	case err != nil && !isNew:
		return attune.Secret{}, err
	case isNew && change.Value == nil:
		return attune.Secret{}, attune.Errorf(attune.CodeInvalid, "secret %q does not exist: give it a value", change.Name)
	}
	value, err := v.value(stored, change)
	if err != nil {
		return attune.Secret{}, err
	}
	next := attune.EncryptedSecret{Secret: attune.Secret{
		Name: change.Name, Packs: stored.Packs, Revision: stored.Revision, Author: change.Author,
	}}
	if change.Packs != nil {
		next.Packs = slices.Compact(slices.Sorted(slices.Values(*change.Packs)))
	}
	if next.Encrypted, err = v.keys.Encrypt([]byte(value), secretIdentity(next.Secret)...); err != nil {
		return attune.Secret{}, err
	}
	next.Key = KeyOf(next.Encrypted)
	return v.store.PutSecret(ctx, next)
}

// value returns the value that the secret has after a change.
func (v *Vault) value(stored attune.EncryptedSecret, change Change) (string, error) {
	if change.Value != nil {
		return *change.Value, nil
	}
	value, err := v.keys.Decrypt(stored.Encrypted, secretIdentity(stored.Secret)...)
	return string(value), err
}

func (c Change) check() error {
	if err := attune.CheckSecretName(c.Name); err != nil {
		return err
	}
	if c.Value != nil {
		if err := attune.CheckSecretValue(*c.Value); err != nil {
			return err
		}
	}
	if c.Packs != nil {
		if len(*c.Packs) > attune.MaxGrants {
			return attune.Errorf(attune.CodeInvalid, "secret: %d packs are too many: use %d or less", len(*c.Packs), attune.MaxGrants)
		}
		for _, pack := range *c.Packs {
			if err := attune.ValidateName("pack", pack); err != nil {
				return err
			}
		}
	}
	return c.Author.Validate()
}

// List returns a page of the secrets, newest first, without their values.
func (v *Vault) List(ctx context.Context, page attune.Page) ([]attune.Secret, error) {
	return v.store.Secrets(ctx, page)
}

// Remove deletes a secret with its value. An unknown name is an [attune.CodeNotFound] error.
func (v *Vault) Remove(ctx context.Context, name string) error {
	return v.store.RemoveSecret(ctx, name)
}
