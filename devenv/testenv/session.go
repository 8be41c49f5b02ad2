package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// daemonTimeout bounds the wait for the daemon of the run, which may first wait for the end of an earlier daemon.
	daemonTimeout = takeOverTimeout + 10*time.Second
	// slowStart is the time after which a waiting test logs that a service is slow to start.
	slowStart = 15 * time.Second
)

// session is the connection of this test binary with the daemon of its run.
type session struct {
	entered  bool // Main was called
	mu       sync.Mutex
	services map[string]*sharedService // by name; guarded by mu
}

// sharedService is the daemon's reply about one service. The connection stays open until the process ends.
type sharedService struct {
	once  sync.Once // writes the fields below
	conn  net.Conn
	reply reply
	err   error
}

// current is the only state of the package. Callers cannot pass it on: the functions that a test calls share only their
// process.
var current session

// Main runs the tests of a package and exits with their result. Call it from TestMain, as its only statement:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// The functions in after clean up what the tests of the package share.
func Main(m *testing.M, after ...func()) {
	if base := os.Getenv(daemonVariable); base != "" {
		if err := runDaemon(base); err != nil {
			fmt.Fprintln(os.Stderr, "testenv daemon:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	current.entered = true
	code := m.Run()
	for _, clean := range after {
		clean()
	}
	os.Exit(code)
}

// requestService returns the address of a service of the run. The first request of the run starts the service.
func requestService(t testing.TB, service string) reply {
	t.Helper()
	if !current.entered {
		t.Fatal("testenv is not set up in this package; add: func TestMain(m *testing.M) { testenv.Main(m) }")
	}
	s := current.service(service)
	s.once.Do(func() { s.conn, s.reply, s.err = currentRun().request(service, t.Logf) })
	if s.err != nil {
		t.Fatalf("test environment: %v", s.err)
	}
	if s.reply.Error != "" {
		t.Fatalf("test environment: %s", s.reply.Error)
	}
	return s.reply
}

func (s *session) service(name string) *sharedService {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.services == nil {
		s.services = map[string]*sharedService{}
	}
	if s.services[name] == nil {
		s.services[name] = &sharedService{}
	}
	return s.services[name]
}

// request sends a request to the daemon and waits for the reply. If the daemon ends at that moment, request starts a new
// one.
func (r run) request(service string, logf func(string, ...any)) (net.Conn, reply, error) {
	for {
		conn, err := r.connect()
		if err != nil {
			return nil, reply{}, err
		}
		slow := time.AfterFunc(slowStart, func() {
			logf("still waiting for %s of the test environment%s", service, r.quoteLog())
		})
		var answer reply
		err = errors.Join(json.NewEncoder(conn).Encode(request{Service: service}), json.NewDecoder(conn).Decode(&answer))
		slow.Stop()
		if err == nil {
			return conn, answer, nil
		}
		conn.Close()
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			return nil, reply{}, fmt.Errorf("request %s from the daemon: %w", service, err)
		}
	}
}

// connect connects to the daemon of the run. It starts a daemon if none runs.
func (r run) connect() (net.Conn, error) {
	tick := time.NewTicker(watchInterval / 5)
	defer tick.Stop()
	ended := make(chan error)
	starts := 0
	for deadline := time.Now().Add(daemonTimeout); time.Now().Before(deadline); {
		conn, err := net.Dial("unix", r.socket())
		if err == nil {
			return conn, nil
		}
		if starts == 0 {
			if err := r.spawn(ended); err != nil {
				return nil, fmt.Errorf("start the daemon: %w", err)
			}
			starts++
		}
		select {
		case err := <-ended: // the daemon gave way to another one, or could not start
			if err != nil {
				return nil, fmt.Errorf("the daemon ended: %w%s", err, r.quoteLog())
			}
			starts = 0
		case <-tick.C:
		}
	}
	return nil, fmt.Errorf("no daemon within %s%s", daemonTimeout, r.quoteLog())
}

// spawn starts this test binary again as the daemon. The daemon has a session of its own, so that it can clean up after
// Ctrl-C. It must not inherit the standard output, because the go command waits until every process has closed it.
func (r run) spawn(ended chan<- error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(r.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	daemon := exec.Command(self)
	daemon.Env = append(os.Environ(), daemonVariable+"="+r.base)
	daemon.Stdout, daemon.Stderr = log, log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := daemon.Start(); err != nil {
		return err
	}
	go func() { ended <- daemon.Wait() }()
	return nil
}

// quoteLog quotes the daemon's log, unless the log is empty.
func (r run) quoteLog() string {
	data, err := os.ReadFile(r.log())
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" {
		return ""
	}
	return "; its log says:\n" + text
}
