package supervise

import (
	"strconv"
	"syscall"
)

// readFile returns the beginning of a file of /proc, as much as one read puts into buffer. It returns nil for a file that is gone or
// closed to the caller. An error is one of blind.
func readFile(path string, buffer []byte) ([]byte, error) {
	fd, err := open(path, 0)
	if err != nil {
		return nil, blind(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	n, err := read(fd, buffer)
	return buffer[:n], blind(err)
}

// readAll returns the content of a file of /proc. Its nil and its error are those of readFile.
func readAll(path string) ([]byte, error) {
	fd, err := open(path, 0)
	if err != nil {
		return nil, blind(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	all, buffer := []byte(nil), make([]byte, 4<<10)
	for {
		n, err := read(fd, buffer)
		if n == 0 {
			return all, blind(err)
		}
		all = append(all, buffer[:n]...)
	}
}

func open(path string, flags int) (int, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|flags, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// read reads once. It returns 0 at the end of the file and with an error.
func read(fd int, buffer []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, buffer)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// blind returns err if it means that the caller can read no files at all: it has, or the machine has, too many open files or too little
// memory. It returns nil for every other error: the process has ended, or hides from the caller.
func blind(err error) error {
	switch err { //nolint:errorlint // package errors would be initialised first
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
		return err
	default:
		return nil
	}
}

// splitZero returns the texts that end with a zero byte.
func splitZero(text []byte) []string {
	var all []string
	start := 0
	for i, b := range text {
		if b == 0 {
			all = append(all, string(text[start:i]))
			start = i + 1
		}
	}
	return all
}

// eachNumber calls visit for every entry of a folder whose name is a number, until visit returns false. After an error, visit may have
// missed entries.
func eachNumber(folder string, visit func(int) (next bool)) error {
	dir, err := open(folder, syscall.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(dir) }()
	entries := make([]byte, 8<<10)
	for {
		n, err := syscall.ReadDirent(dir, entries)
		if err != nil || n <= 0 {
			return err
		}
		_, _, names := syscall.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			number, err := strconv.Atoi(name)
			if err == nil && !visit(number) {
				return nil
			}
		}
	}
}
