package attune

// InstallationID names one installation of attune: a database and the processes that use it. It is drawn when the tables are
// made, so a new database is a new installation, and a restored one is the installation that it was.
type InstallationID string
