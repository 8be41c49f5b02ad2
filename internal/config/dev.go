package config

import "strconv"

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

func devSettings() []Setting {
	port := func(name, env, flag, fallback, what string, field func(*DevPorts) *int) Setting {
		return Setting{
			Name: name, Env: env, Flag: flag, Default: fallback, Command: DevCommand,
			Doc: "port of " + what + " that attune dev starts, on 127.0.0.1; 0 takes a free one",
			parse: one(func(c *Config, v string) (err error) {
				*field(&c.Dev), err = wholeNumber(v, 0, 65535)
				return
			}),
			show: func(c Config) string { return strconv.Itoa(*field(&c.Dev)) },
		}
	}
	return []Setting{
		port("dev.postgres_port", "ATTUNE_DEV_POSTGRES_PORT", "postgres-port", "5433", "the PostgreSQL",
			func(d *DevPorts) *int { return &d.Postgres }),
		port("dev.rabbitmq_port", "ATTUNE_DEV_RABBITMQ_PORT", "rabbitmq-port", "5673", "the RabbitMQ",
			func(d *DevPorts) *int { return &d.RabbitMQ }),
		port("dev.temporal_port", "ATTUNE_DEV_TEMPORAL_PORT", "temporal-port", "7233", "the Temporal server",
			func(d *DevPorts) *int { return &d.Temporal }),
		port("dev.temporal_ui_port", "ATTUNE_DEV_TEMPORAL_UI_PORT", "temporal-ui-port", "8233", "the Temporal UI",
			func(d *DevPorts) *int { return &d.TemporalUI }),
	}
}
