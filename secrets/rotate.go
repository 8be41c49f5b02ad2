package secrets

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
)

// rotateRows is how many rows one call of Rotate reads.
const rotateRows = 500

// Rotation is what one call of [Vault.Rotate] did.
type Rotation struct {
	Key    string `json:"key_id"`          // id of the key that encrypts
	Moved  int    `json:"moved"`           // values that have this key now, and had another one
	Failed int    `json:"failed"`          // values that cannot be decrypted
	Error  string `json:"error,omitempty"` // why the first of them cannot be decrypted
	Next   string `json:"next,omitempty"`  // continue here; empty when every value was read
}

// Rotate encrypts values with the first key that have another one. One call reads a bounded number of values. The caller repeats it
// with the position in Next until there is none. The first position is "". A value that cannot be decrypted stays as it is and counts
// as failed. A text that is no position is an [attune.CodeInvalid] error, and a ring without keys [attune.CodeUnavailable].
func (v *Vault) Rotate(ctx context.Context, from string) (Rotation, error) {
	if v.keys.Empty() {
		return Rotation{}, errNoKey
	}
	table, after, err := parsePosition(from)
	if err != nil {
		return Rotation{}, err
	}
	done := Rotation{Key: v.keys.First()}
	tables := attune.EncryptedTables()
	tables = tables[slices.Index(tables, table):]
	for left := rotateRows; len(tables) > 0; tables, after = tables[1:], 0 {
		rows, err := v.rows.EncryptedRows(ctx, tables[0], after, left)
		if err != nil {
			return Rotation{}, err
		}
		for _, row := range rows {
			if err := v.reencrypt(ctx, row, &done); err != nil {
				return Rotation{}, err
			}
		}
		if left -= len(rows); left == 0 {
			done.Next = formatPosition(tables[0], rows[len(rows)-1].ID)
			break
		}
	}
	return done, nil
}

// reencrypt encrypts the value of one row with the first key.
func (v *Vault) reencrypt(ctx context.Context, row attune.EncryptedRow, done *Rotation) error {
	encrypted, err := v.keys.Reencrypt(row.Encrypted, identity(row)...)
	switch {
	case err != nil:
		if done.Failed++; done.Error == "" {
			done.Error = fmt.Sprintf("row %d of table %s: %s", row.ID, row.Table, err)
		}
		return nil
	case encrypted == row.Encrypted:
		return nil
	}
	done.Moved++
	return v.rows.Reencrypt(ctx, row, encrypted)
}

func formatPosition(table attune.EncryptedTable, after int64) string {
	return string(table) + ":" + strconv.FormatInt(after, 10)
}

func parsePosition(text string) (table attune.EncryptedTable, after int64, err error) {
	if text == "" {
		return attune.EncryptedTables()[0], 0, nil
	}
	name, number, _ := strings.Cut(text, ":")
	after, err = strconv.ParseInt(number, 10, 64)
	if table = attune.EncryptedTable(name); err != nil || after < 0 || !slices.Contains(attune.EncryptedTables(), table) {
		return "", 0, attune.Errorf(attune.CodeInvalid, "not a position of a rotation: send the value of next unchanged")
	}
	return table, after, nil
}
