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
	// keeperTimeout bounds the time until the keeper of the run listens; it may first have to wait for another to end.
	keeperTimeout = takeOverTimeout + 10*time.Second
	// patience is how long a service may take to start before the waiting test says so.
	patience = 15 * time.Second
)

// session is this test binary's connection with the keeper of its run.
type session struct {
	entered bool // Main was called
	mu      sync.Mutex
	known   map[string]*answer
}

// answer is what the keeper said about one service. The connection is kept until the process ends.
type answer struct {
	once  sync.Once
	conn  net.Conn
	reply reply
	err   error
}

// current is the only state of the package. It cannot be a value that callers pass on: the functions that a test calls
// share nothing but the process they run in.
var current session

// Main runs the tests of a package and exits with their result. Call it from TestMain, as its only statement:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// What the tests of the package have shared is cleaned up by after.
func Main(m *testing.M, after ...func()) {
	if base := os.Getenv(keeperVariable); base != "" {
		if err := keep(base); err != nil {
			fmt.Fprintln(os.Stderr, "testenv keeper:", err)
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

// ask returns where a service of the run is, and starts it if this is the first time anybody asks.
func ask(t testing.TB, service string) reply {
	t.Helper()
	if !current.entered {
		t.Fatal("testenv is not set up in this package; add: func TestMain(m *testing.M) { testenv.Main(m) }")
	}
	a := current.answer(service)
	a.once.Do(func() { a.conn, a.reply, a.err = currentRun().request(service, t.Logf) })
	if a.err != nil {
		t.Fatalf("test environment: %v", a.err)
	}
	if a.reply.Error != "" {
		t.Fatalf("test environment: %s", a.reply.Error)
	}
	return a.reply
}

func (s *session) answer(service string) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]*answer{}
	}
	if s.known[service] == nil {
		s.known[service] = &answer{}
	}
	return s.known[service]
}

// request asks the keeper and waits for its answer. A keeper that ends at this very moment is followed by a new one.
func (r run) request(service string, logf func(string, ...any)) (net.Conn, reply, error) {
	for {
		conn, err := r.connect()
		if err != nil {
			return nil, reply{}, err
		}
		slow := time.AfterFunc(patience, func() {
			logf("still waiting for %s of the test environment%s", service, r.lastWords())
		})
		var answer reply
		err = errors.Join(json.NewEncoder(conn).Encode(request{Service: service}), json.NewDecoder(conn).Decode(&answer))
		slow.Stop()
		if err == nil {
			return conn, answer, nil
		}
		conn.Close()
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			return nil, reply{}, fmt.Errorf("ask the keeper for %s: %w", service, err)
		}
	}
}

// connect reaches the keeper of the run, starting one if there is none.
func (r run) connect() (net.Conn, error) {
	tick := time.NewTicker(watchInterval / 5)
	defer tick.Stop()
	ended := make(chan error)
	starts := 0
	for deadline := time.Now().Add(keeperTimeout); time.Now().Before(deadline); {
		conn, err := net.Dial("unix", r.socket())
		if err == nil {
			return conn, nil
		}
		if starts == 0 {
			if err := r.spawn(ended); err != nil {
				return nil, fmt.Errorf("start the keeper: %w", err)
			}
			starts++
		}
		select {
		case err := <-ended: // it gave way to another, or it could not start
			if err != nil {
				return nil, fmt.Errorf("the keeper ended: %w%s", err, r.lastWords())
			}
			starts = 0
		case <-tick.C:
		}
	}
	return nil, fmt.Errorf("no keeper within %s%s", keeperTimeout, r.lastWords())
}

// spawn starts this test binary again as the keeper. The keeper has a session of its own, so that Ctrl-C does not reach it
// before it has cleaned up. It must not inherit the standard output: the go command waits until no process holds that.
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
	keeper := exec.Command(self)
	keeper.Env = append(os.Environ(), keeperVariable+"="+r.base)
	keeper.Stdout, keeper.Stderr = log, log
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := keeper.Start(); err != nil {
		return err
	}
	go func() { ended <- keeper.Wait() }()
	return nil
}

// lastWords quotes the keeper's log, if there is anything in it.
func (r run) lastWords() string {
	data, err := os.ReadFile(r.log())
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" {
		return ""
	}
	return "; its log says:\n" + text
}
