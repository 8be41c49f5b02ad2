package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/attune-go/attune/devenv/services"
)

const (
	// daemonVariable makes a test binary the daemon of the given run.
	daemonVariable = "ATTUNE_TESTENV_DAEMON"

	watchInterval   = 100 * time.Millisecond
	idleLimit       = time.Minute
	takeOverTimeout = 2 * time.Minute
	stopTimeout     = 20 * time.Second
)

// request requests one service by name. The client keeps the connection open for its lifetime, so that the daemon knows
// the live clients.
type request struct {
	Service string `json:"service"`
}

// reply is the address of a service, or the reason why it has none.
type reply struct {
	URL   string `json:"url,omitempty"`
	Admin string `json:"admin,omitempty"` // the superuser's URL of PostgreSQL, or the URL of RabbitMQ's management
	Error string `json:"error,omitempty"`
}

// daemon owns the services of a run.
type daemon struct {
	run      run
	services map[string]*lazyService

	starting sync.WaitGroup // running requests
	mu       sync.Mutex     // guards the fields below
	ending   bool           // the daemon starts no more services
	clients  int
	left     time.Time // when the last client disconnected
}

// runDaemon is the whole life of a daemon. It returns when the run is over and its processes and files are removed.
func runDaemon(base string) error {
	run, err := parseRun(base)
	if err != nil {
		return err
	}
	lock, err := takeOver(run)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Close()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	d := newDaemon(run)
	return errors.Join(d.serve(ctx, cancel), d.stop(), run.remove())
}

// takeOver waits for the lock, because an earlier daemon of the run may be ending. A nil lock means that another daemon
// serves.
func takeOver(run run) (*os.File, error) {
	tick := time.NewTicker(watchInterval / 5)
	defer tick.Stop()
	for deadline := time.Now().Add(takeOverTimeout); time.Now().Before(deadline); <-tick.C {
		lock, err := run.acquire()
		if err == nil || !errors.Is(err, errLocked) {
			return lock, err
		}
		if conn, err := net.Dial("unix", run.socket()); err == nil {
			return nil, conn.Close()
		}
	}
	return nil, fmt.Errorf("the earlier daemon neither serves nor ends within %s", takeOverTimeout)
}

func newDaemon(run run) *daemon {
	return &daemon{run: run, left: time.Now(), services: map[string]*lazyService{
		"folder":   {start: startFolder},
		"postgres": {start: run.startPostgres},
		"rabbitmq": {start: run.startRabbitMQ},
		"temporal": {start: run.startTemporal},
	}}
}

// serve answers clients until the run is over, no client was connected for a minute, or a signal arrives.
func (d *daemon) serve(ctx context.Context, cancel context.CancelFunc) error {
	if err := os.RemoveAll(d.run.base); err != nil {
		return fmt.Errorf("remove the files of an earlier daemon: %w", err)
	}
	if err := services.PrivateDir(d.run.base); err != nil {
		return err
	}
	listener, err := net.Listen("unix", d.run.socket())
	if err != nil {
		return fmt.Errorf("the temporary folder may have too long a name; set TMPDIR to a shorter one: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer listener.Close()
		defer cancel() // cancels the start of a service
		d.watch(ctx)
	})
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			wg.Wait()
			return nil
		}
		if err != nil {
			cancel()
			wg.Wait()
			return fmt.Errorf("accept a test binary: %w", err)
		}
		go d.serveClient(ctx, conn)
	}
}

// watch returns when the daemon should end.
func (d *daemon) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for !d.run.over() && !d.idle() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *daemon) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clients == 0 && time.Since(d.left) > idleLimit
}

// serveClient answers one client until the client disconnects.
func (d *daemon) serveClient(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	d.countClient(+1)
	defer d.countClient(-1)
	var (
		requests = json.NewDecoder(conn)
		replies  = json.NewEncoder(conn)
		next     request
	)
	for requests.Decode(&next) == nil {
		if replies.Encode(d.answer(ctx, next.Service)) != nil {
			return
		}
	}
}

// answer starts the service if it does not run.
func (d *daemon) answer(ctx context.Context, name string) reply {
	wanted, known := d.services[name]
	if !known {
		return reply{Error: fmt.Sprintf("unknown service %q", name)}
	}
	d.mu.Lock()
	if d.ending {
		d.mu.Unlock()
		return reply{Error: "the test run is over"}
	}
	d.starting.Add(1)
	d.mu.Unlock()
	defer d.starting.Done()
	return wanted.take(ctx)
}

func (d *daemon) countClient(delta int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clients += delta
	d.left = time.Now()
}

// stop stops every service. The context of serve is cancelled, so a service that is starting gives up first.
func (d *daemon) stop() error {
	d.mu.Lock()
	d.ending = true
	d.mu.Unlock()
	d.starting.Wait()

	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	for _, lazy := range d.services {
		if lazy.running != nil {
			errs = append(errs, lazy.running.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}
