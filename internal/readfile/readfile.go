// Package readfile reads files that a process reads again while it runs: settings, secrets, certificates. Such a read must come to an
// end, whatever is at the path by then.
package readfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// TimeLimit is how long a read may take. Files of settings are small: a read that takes longer waits for a mount that does not answer.
const TimeLimit = 5 * time.Second

// maxBytes bounds what a read takes into memory. Settings, secrets and certificates are far smaller.
const maxBytes = 16 << 20

// Reader reads regular files. The zero value is ready to use. It is safe for concurrent use.
type Reader struct {
	read func(path string) ([]byte, error) // nil: regular

	mu      sync.Mutex
	running map[string]*result // guarded by mu; the reads that have not ended, by path
}

// result is one read. The fields are set when done is closed.
type result struct {
	done chan struct{}
	data []byte
	err  error
}

// Read returns the content of a regular file, or of the regular file at the end of symbolic links. It refuses anything else, such as a
// named pipe, and never waits for one. A read that takes longer than [TimeLimit] is given up. The error names the file.
//
// A read that was given up keeps one thread until it ends. Later calls for the same path wait for that read and begin no other.
func (r *Reader) Read(path string) ([]byte, error) {
	current := r.begin(path)
	limit := time.NewTimer(TimeLimit)
	defer limit.Stop()
	select {
	case <-current.done:
		return current.data, current.err
	case <-limit.C:
		return nil, fmt.Errorf("read %s: no answer in %s: look at the mount of the file", path, TimeLimit)
	}
}

// begin returns the read of a path that runs, or a new one.
func (r *Reader) begin(path string) *result {
	r.mu.Lock()
	defer r.mu.Unlock()
	if current := r.running[path]; current != nil {
		return current
	}
	current := &result{done: make(chan struct{})}
	if r.running == nil {
		r.running = map[string]*result{}
	}
	r.running[path] = current
	go r.run(path, current)
	return current
}

func (r *Reader) run(path string, current *result) {
	read := r.read
	if read == nil {
		read = regular
	}
	current.data, current.err = read(path)
	r.mu.Lock()
	delete(r.running, path)
	r.mu.Unlock()
	close(current.done)
}

// regular reads a regular file. It looks at the file before it opens it, because to open a device can change the device, and again
// after that, because the file can have been replaced. O_NONBLOCK keeps a named pipe from waiting for its writer.
func regular(path string) (data []byte, err error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if err := check(path, info); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := check(path, info); err != nil {
		return nil, err
	}
	data, err = io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err == nil && len(data) > maxBytes {
		return nil, fmt.Errorf("read %s: it has more than %d MiB: name another file", path, maxBytes>>20)
	}
	return data, err
}

func check(path string, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("read %s: it is not a regular file: put a file into its place", path)
	}
	return nil
}
