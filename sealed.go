package attune

// SealedTable names a table with encrypted values.
type SealedTable string

// The tables with encrypted values.
const (
	SealedSecrets      SealedTable = "secrets"
	SealedEvents       SealedTable = "events"
	SealedEnforcements SealedTable = "enforcements"
)

// SealedTables lists the tables with encrypted values.
func SealedTables() []SealedTable {
	return []SealedTable{SealedSecrets, SealedEvents, SealedEnforcements}
}

// SealedRow is the encrypted value of one row, with what the encryption is bound to.
type SealedRow struct {
	Table  SealedTable
	ID     int64
	Bound  []string // the parts of the row's identity
	Sealed string
}
