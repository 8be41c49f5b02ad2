package rabbitmq

import (
	"context"
	"sync"
)

// Connections holds the connections of a process: two, and those of [Connections.Own]. A broker that is short of memory or disk stops
// reading from connections that publish; acknowledgements on the other connections still get through.
type Connections struct {
	Consume, Publish *Connection

	config  Config
	running context.Context //nolint:containedctx // of the connections, which outlive their constructor
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// Connect opens both connections and declares topology. It waits for the broker until ctx ends; the connections outlive
// ctx and run until [Connections.Close]. config.Name is the prefix of their names. The errors are those of
// [Connection.WaitReady] and [Declare].
func Connect(ctx context.Context, config Config, topology Topology) (*Connections, error) {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &Connections{config: config, running: running, stop: stop}
	c.Consume = c.run(config, "consume")
	c.Publish = c.run(config, "publish")
	if err := c.ready(ctx, topology); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Own opens another connection until [Connections.Close] and does not wait for it. A consumer of a queue that workers write to has a
// connection of its own, so that no message of a worker closes the connection of other consumers. maxBody is [Config.MaxBody].
func (c *Connections) Own(purpose string, maxBody int) *Connection {
	config := c.config
	config.MaxBody = maxBody
	return c.run(config, purpose)
}

func (c *Connections) run(config Config, purpose string) *Connection {
	config.Name += " " + purpose
	conn := NewConnection(config)
	c.ended.Go(func() { _ = conn.Run(c.running) }) // WaitReady reports its error
	return conn
}

func (c *Connections) ready(ctx context.Context, topology Topology) error {
	for _, conn := range []*Connection{c.Consume, c.Publish} {
		if err := conn.WaitReady(ctx); err != nil {
			return err
		}
	}
	return Declare(ctx, c.Consume, topology)
}

// Close ends the connections and waits for their end.
func (c *Connections) Close() {
	c.stop()
	c.ended.Wait()
}
