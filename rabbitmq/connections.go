package rabbitmq

import (
	"context"
	"sync"
)

// Connections holds the two connections of a process. A broker that is short of memory or disk stops reading from
// connections that publish; acknowledgements on the other connection still get through.
type Connections struct {
	Consume, Publish *Connection

	stop    context.CancelFunc
	running sync.WaitGroup
}

// Connect opens both connections and declares topology. It waits for the broker until ctx ends; the connections outlive
// ctx and run until [Connections.Close]. config.Name is the prefix of their names. The errors are those of
// [Connection.WaitReady] and [Declare].
func Connect(ctx context.Context, config Config, topology Topology) (*Connections, error) {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &Connections{stop: stop}
	c.Consume = c.run(running, config, "consume")
	c.Publish = c.run(running, config, "publish")
	if err := c.ready(ctx, topology); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Connections) run(ctx context.Context, config Config, purpose string) *Connection {
	config.Name += " " + purpose
	conn := NewConnection(config)
	c.running.Go(func() { _ = conn.Run(ctx) }) // WaitReady reports its error
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

// Close ends both connections and waits for their end.
func (c *Connections) Close() {
	c.stop()
	c.running.Wait()
}
