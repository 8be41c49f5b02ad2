package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"syscall"
)

// choosePorts checks the ports that the user chose and reserves the others.
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

// requireFree fails if the server could not listen on the port. The server itself would exit with a stack trace.
func requireFree(ip string, port int, service, flag string) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d of the %s is taken on %s; choose another with %s", port, service, ip, flag)
		}
		return fmt.Errorf("port %d of the %s: %w", port, service, err)
	}
	return listener.Close()
}

// reservePort returns a free loopback port that no other process gets before the server listens on it.
//
// On Linux the reserving socket is bound, never listens, and stays open until the process ends. The kernel gives its port
// to no process that requests any free port. The server requests this port by number and gets it, because both sockets
// allow reuse. Other systems do not let two sockets share a port in this way; there reservePort closes the socket at
// once.
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
