package config

// DevPorts are the ports of the services that `attune dev` starts on 127.0.0.1; 0 takes a free port.
//
// The defaults for PostgreSQL and RabbitMQ are one above the usual ports, to avoid a conflict with running servers. The defaults
// for Temporal are the usual ports, so that Temporal's tools find the server.
type DevPorts struct {
	Postgres   int
	RabbitMQ   int
	Temporal   int
	TemporalUI int
}

// DevCommand is the command that uses [DevPorts].
const DevCommand = "dev"

func devSettings(ports *DevPorts) []setting {
	port := func(name, defaultText, service string, into *int) setting {
		return setting{
			name: name, command: DevCommand, defaultText: defaultText, set: single(into, portFrom(0).read),
			doc: "port on 127.0.0.1 of " + service + " that attune dev starts; 0 takes a free port",
		}
	}
	return []setting{
		port("dev.postgres_port", "5433", "the PostgreSQL", &ports.Postgres),
		port("dev.rabbitmq_port", "5673", "the RabbitMQ", &ports.RabbitMQ),
		port("dev.temporal_port", "7233", "the Temporal server", &ports.Temporal),
		port("dev.temporal_ui_port", "8233", "the Temporal UI", &ports.TemporalUI),
	}
}
