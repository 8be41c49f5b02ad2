package config

// DevPorts are where `attune dev` has the services listen that it starts, on 127.0.0.1; 0 takes a free port.
//
// The defaults of PostgreSQL and RabbitMQ are beside their usual ports, so that they do not collide with servers that
// already run. Those of Temporal are its own, so that its tools find it.
type DevPorts struct {
	Postgres   int
	RabbitMQ   int
	Temporal   int
	TemporalUI int
}

// DevCommand is the command that the ports are for.
const DevCommand = "dev"

func devSettings(ports *DevPorts) []setting {
	port := func(name, standard, what string, into *int) setting {
		return setting{
			name: name, command: DevCommand, standard: standard, set: one(into, portFrom(0).read),
			doc: "port of " + what + " that attune dev starts, on 127.0.0.1; 0 takes a free one",
		}
	}
	return []setting{
		port("dev.postgres_port", "5433", "the PostgreSQL", &ports.Postgres),
		port("dev.rabbitmq_port", "5673", "the RabbitMQ", &ports.RabbitMQ),
		port("dev.temporal_port", "7233", "the Temporal server", &ports.Temporal),
		port("dev.temporal_ui_port", "8233", "the Temporal UI", &ports.TemporalUI),
	}
}
