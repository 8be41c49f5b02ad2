// Package services runs PostgreSQL, RabbitMQ and a development Temporal server as child processes.
//
// Tests use it with ephemeral folders and free ports. `attune dev` uses it with a permanent folder and fixed ports. In
// production, operators run the services without this package.
//
// Guarantees
//   - A started service accepts requests. A failed start returns an error with the end of the service's log.
//   - Every port listens on loopback only, RabbitMQ's clustering port included.
//   - PostgreSQL and RabbitMQ refuse a client without a password. The passwords are created with the data and stored
//     beside them. The Temporal server has no passwords: on loopback, every user of the machine can use it.
//   - No other user can read a file of a service. If the caller is root, PostgreSQL runs as another user, who can read
//     PostgreSQL's data and no other file.
//   - At most one [Set] uses a folder at a time.
//   - [Postgres.Stop] and its siblings return after the last process of the service has ended and was reaped.
//   - On Linux the services end when their parent process ends in any way, SIGKILL included. On other systems they
//     outlive a killed parent.
//   - A service keeps its ports and its data over Restart. Kill followed by Restart is a crash and a recovery.
//
// Failures
//   - A missing program is a [MissingError]; it lists the searched places and the way to install the program.
//   - A taken port is a [PortTakenError]; it names the service, the port, and the caller's advice.
//   - Data without passwords, which an older attune created, is an [OldDataError].
//   - A service that ends by itself closes Done and stores its reason for Err. The package restarts a service only when
//     the caller asks for it.
package services
