package attune

// InstallationID names one installation of attune: a database and the processes that use it. The first migration draws the id.
// So a new database is a new installation, and a restored database keeps its installation.
//
// Stored in Temporal's history: in the input of a workflow.
type InstallationID string
