// Package services runs PostgreSQL, RabbitMQ and a development Temporal server as child processes.
//
// Tests use it with ephemeral folders and free ports, `attune dev` with a folder that outlives it and known ports.
// Production does not use it: there, operators run the services.
//
// Guarantees
//   - A service that was returned accepts requests. One that cannot start returns an error with the end of its log.
//   - Everything listens on loopback only, RabbitMQ's clustering port included.
//   - PostgreSQL and RabbitMQ refuse a client without a password. The passwords are made with the data and kept beside them.
//     The Temporal server knows no passwords: on loopback, every user of the machine can use it.
//   - No other user can read a file of a service. Where the caller is root, PostgreSQL runs as another user, who may read the
//     data of PostgreSQL and nothing else.
//   - At most one [Set] uses a folder at a time.
//   - [Postgres.Stop] and its siblings return after the last process of the service has ended and was reaped.
//   - On Linux the services end when the process that started them ends in any way, SIGKILL included. Elsewhere a
//     killed parent leaves them running.
//   - A service keeps its ports and its data over Restart; Kill followed by Restart is a crash and a recovery.
//
// Failures
//   - A missing program is a [MissingError]; it says where it was looked for and how to get it.
//   - A taken port is a [PortTakenError]; it says which service wanted which port, and what the caller advises to do.
//   - Data without passwords, which an older attune left, is an [OldDataError].
//   - A service that ends by itself closes Done and leaves its reason in Err. Nothing is restarted behind the
//     caller's back.
package services
