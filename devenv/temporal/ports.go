package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"syscall"
)

// choosePorts checks the ports the user named and picks the others.
func (o *options) choosePorts() error {
	if o.port != 0 {
		if err := requireFree(o.ip, o.port, "frontend", "--port"); err != nil {
			return err
		}
	}
	if o.uiPort != 0 {
		if err := requireFree(o.ip, o.uiPort, "web interface", "--ui-port"); err != nil {
			return err
		}
	}
	for _, port := range []*int{&o.port, &o.history, &o.matching, &o.worker} {
		if *port != 0 {
			continue
		}
		chosen, err := reservePort()
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		*port = chosen
	}
	return nil
}

// requireFree fails if the server could not listen on the port. The server itself would end with a stack trace.
func requireFree(ip string, port int, what, flag string) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d of the %s is taken on %s; choose another with %s", port, what, ip, flag)
		}
		return fmt.Errorf("port %d of the %s: %w", port, what, err)
	}
	return listener.Close()
}

// reservePort returns a free loopback port. No other process is given the port before the server listens on it.
//
// On Linux the reserving socket is bound but never listens, and it stays until the process ends: the kernel gives its
// port to no one who asks for any, while the server, which names it, may have it because both sockets allow reuse.
// Other systems do not let two sockets share a port like that; there it is only looked up.
func reservePort() (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, errors.Join(err, syscall.Close(fd))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, errors.Join(err, syscall.Close(fd))
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, errors.Join(err, syscall.Close(fd))
	}
	if runtime.GOOS != "linux" {
		if err := syscall.Close(fd); err != nil {
			return 0, err
		}
	}
	return address.(*syscall.SockaddrInet4).Port, nil
}
