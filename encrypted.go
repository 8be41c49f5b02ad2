package attune

// EncryptedTable names a table with encrypted values.
type EncryptedTable string

// The tables with encrypted values.
const (
	EncryptedSecrets      EncryptedTable = "secrets"
	EncryptedEvents       EncryptedTable = "events"
	EncryptedEnforcements EncryptedTable = "enforcements"
)

// EncryptedTables lists the tables with encrypted values.
func EncryptedTables() []EncryptedTable {
	return []EncryptedTable{EncryptedSecrets, EncryptedEvents, EncryptedEnforcements}
}

// EncryptedRow is the encrypted value of one row, with what the encryption is bound to.
type EncryptedRow struct {
	Table     EncryptedTable
	ID        int64
	Bound     []string // the parts of the row's identity
	Encrypted string
}

// KeyUse counts the encrypted values that have one key.
type KeyUse struct {
	Key          string // its id
	Secrets      int64
	Events       int64 // with secret fields
	Enforcements int64 // with secret parameters
}
