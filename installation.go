package attune

// InstallationID names one installation of attune: a database and the processes that use it. The first migration draws the id, so a
// new database is a new installation. A database that was restored from a backup becomes a new installation when attune starts on
// it: its ids and sequences mean other enforcements than those that Temporal, RabbitMQ and the workers may still know.
//
// Stored in Temporal's history: in the input of a workflow.
type InstallationID string

// Installation is the identity of a database. The watermark rises while attune runs, and Temporal keeps a copy. A database with a
// lower watermark than the copy was restored to an earlier time.
type Installation struct {
	ID        InstallationID
	Watermark int64 // from 0
}
