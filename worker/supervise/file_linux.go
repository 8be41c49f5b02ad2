package supervise

import (
	"strconv"
	"syscall"
)

// readFile returns the beginning of a file, as much as one read puts into buffer. It returns nil when the file cannot be
// read.
func readFile(path string, buffer []byte) []byte {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = syscall.Close(fd) }()
	return buffer[:read(fd, buffer)]
}

// readAll returns the content of a file, or nil when the file cannot be read.
func readAll(path string) []byte {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = syscall.Close(fd) }()
	all, buffer := []byte(nil), make([]byte, 4<<10)
	for {
		n := read(fd, buffer)
		if n == 0 {
			return all
		}
		all = append(all, buffer[:n]...)
	}
}

// read reads once. It returns 0 at the end of the file and after an error.
func read(fd int, buffer []byte) int {
	for {
		n, err := syscall.Read(fd, buffer)
		if err != syscall.EINTR {
			return max(n, 0)
		}
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

// eachNumber calls visit for every entry of a folder whose name is a number, until visit returns false.
func eachNumber(folder string, visit func(int) (next bool)) {
	dir, err := syscall.Open(folder, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = syscall.Close(dir) }()
	entries := make([]byte, 8<<10)
	for {
		n, err := syscall.ReadDirent(dir, entries)
		if err != nil || n <= 0 {
			return
		}
		_, _, names := syscall.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			number, err := strconv.Atoi(name)
			if err == nil && !visit(number) {
				return
			}
		}
	}
}
