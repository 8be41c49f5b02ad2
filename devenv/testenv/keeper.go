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
	// keeperVariable tells a test binary that it was started to be the keeper of the run it names.
	keeperVariable = "ATTUNE_TESTENV_KEEPER"

	watchInterval   = 100 * time.Millisecond
	idleLimit       = time.Minute
	takeOverTimeout = 2 * time.Minute
	stopTimeout     = 20 * time.Second
)

// request asks for one service by name. The connection stays open for as long as the client lives: that is how the
// keeper knows who is there.
type request struct {
	Service string `json:"service"`
}

// reply says where the service is, or why it is not.
type reply struct {
	URL   string `json:"url,omitempty"`
	Admin string `json:"admin,omitempty"` // of PostgreSQL for its superuser, or of RabbitMQ's management
	Error string `json:"error,omitempty"`
}

// keeper owns the services of a run.
type keeper struct {
	run    run
	offers map[string]*offer

	starting sync.WaitGroup // requests for a service
	mu       sync.Mutex     // guards what follows
	ending   bool           // no service is started any more
	clients  int
	left     time.Time // when the last client left
}

// keep is the whole life of a keeper. It returns when the run is over and nothing of it is left.
func keep(base string) error {
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
	k := newKeeper(run)
	return errors.Join(k.serve(ctx, cancel), k.stop(), run.remove())
}

// takeOver waits for the lock: another keeper of the run may just be ending. A nil lock means that another one serves.
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
	return nil, fmt.Errorf("the keeper before this one neither serves nor ends within %s", takeOverTimeout)
}

func newKeeper(run run) *keeper {
	return &keeper{run: run, left: time.Now(), offers: map[string]*offer{
		"folder":   {start: startFolder},
		"postgres": {start: run.startPostgres},
		"rabbitmq": {start: run.startRabbitMQ},
		"temporal": {start: run.startTemporal},
	}}
}

// serve answers clients until the run is over, no client has been connected for a minute, or a signal arrives.
func (k *keeper) serve(ctx context.Context, cancel context.CancelFunc) error {
	if err := os.RemoveAll(k.run.base); err != nil {
		return fmt.Errorf("remove what an earlier keeper left: %w", err)
	}
	if err := services.PrivateDir(k.run.base); err != nil {
		return err
	}
	listener, err := net.Listen("unix", k.run.socket())
	if err != nil {
		return fmt.Errorf("the temporary folder may have too long a name; set TMPDIR to a shorter one: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer listener.Close()
		defer cancel() // a service that is just starting gives up
		k.watch(ctx)
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
		go k.attend(ctx, conn)
	}
}

// watch returns when the keeper should end.
func (k *keeper) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for !k.run.over() && !k.idle() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (k *keeper) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clients == 0 && time.Since(k.left) > idleLimit
}

// attend answers one client and stays until it hangs up.
func (k *keeper) attend(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	k.come(+1)
	defer k.come(-1)
	var (
		requests = json.NewDecoder(conn)
		replies  = json.NewEncoder(conn)
		asked    request
	)
	for requests.Decode(&asked) == nil {
		if replies.Encode(k.answer(ctx, asked.Service)) != nil {
			return
		}
	}
}

// answer starts the service if it does not run yet.
func (k *keeper) answer(ctx context.Context, name string) reply {
	offer, known := k.offers[name]
	if !known {
		return reply{Error: fmt.Sprintf("there is no service %q", name)}
	}
	k.mu.Lock()
	if k.ending {
		k.mu.Unlock()
		return reply{Error: "the test run is over"}
	}
	k.starting.Add(1)
	k.mu.Unlock()
	defer k.starting.Done()
	return offer.take(ctx)
}

func (k *keeper) come(delta int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.clients += delta
	k.left = time.Now()
}

// stop ends every service. One that is still starting gives up first, because the context of serve is cancelled.
func (k *keeper) stop() error {
	k.mu.Lock()
	k.ending = true
	k.mu.Unlock()
	k.starting.Wait()

	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	for _, offer := range k.offers {
		if offer.service != nil {
			errs = append(errs, offer.service.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}
