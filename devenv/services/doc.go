// Package services runs PostgreSQL, RabbitMQ and a development Temporal server as child processes.
//
// Tests use it with ephemeral folders and free ports, `attune dev` with a folder that outlives it and fixed ports.
// Production uses neither: there the services are somebody else's.
//
// Guarantees
//   - A service that was returned accepts requests. One that cannot start returns an error with the end of its log.
//   - Everything listens on 127.0.0.1 only, RabbitMQ's clustering port included.
//   - [Postgres.Stop] and its siblings return after the last process of the service has ended and was reaped.
//   - On Linux the services end when the process that started them ends in any way, SIGKILL included. Elsewhere a
//     killed parent leaves them running.
//   - A service keeps its ports and its data over Restart; Kill followed by Restart is a crash and a recovery.
//
// Failures
//   - A missing program is a [MissingError]; it names the Debian package and `make deps`.
//   - A taken port is a [PortTakenError]; it says which service wanted which port and what to do.
//   - A service that ends by itself closes Done and leaves its reason in Err. Nothing is restarted behind the
//     caller's back.
package services
