package services

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// loopback is the only address that services listen on.
const loopback = "127.0.0.1"

// portFreeWait is how long the start waits for a taken fixed port: its previous server may be ending.
const portFreeWait = 2 * time.Second

// PortTakenError is the error of a fixed port that another program uses.
type PortTakenError struct {
	Service string // "PostgreSQL", "RabbitMQ", "Temporal" or "Temporal's web interface"
	Port    int
	Advice  string // what to do, from the caller that fixed the port
}

func (e *PortTakenError) Error() string {
	message := fmt.Sprintf("%s cannot start: port %d on %s is taken", e.Service, e.Port, loopback)
	if e.Advice != "" {
		message += "; " + e.Advice
	}
	return message
}

// port is a TCP port of a service: fixed by the caller, or chosen at the first start and kept afterwards.
type port struct {
	service string // for PortTakenError, as is advice
	number  int
	fixed   bool
	advice  string
}

func newPort(service string, number int, advice string) *port {
	return &port{service: service, number: number, fixed: number != 0, advice: advice}
}

func (p *port) String() string { return strconv.Itoa(p.number) }

func (p *port) address() string { return net.JoinHostPort(loopback, p.String()) }

// choose picks a free number unless the port is fixed.
func (p *port) choose() {
	if !p.fixed {
		p.number = FreePort()
	}
}

// keep fixes the current number: clients know a service that has run by its port.
func (p *port) keep() { p.fixed = true }

// requireFree waits for a taken fixed port and fails if the port stays taken.
func (p *port) requireFree(ctx context.Context) error {
	if !p.fixed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, portFreeWait)
	defer cancel()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		switch err := listen(p.number); {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("%s cannot start: %w", p.service, err)
		}
		select {
		case <-ctx.Done():
			return &PortTakenError{Service: p.service, Port: p.number, Advice: p.advice}
		case <-tick.C:
		}
	}
}

// listen returns nil if a server could listen on the port at present.
func listen(number int) error {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(number)))
	if err != nil {
		return err
	}
	return listener.Close()
}

func free(number int) bool { return listen(number) == nil }

// FreePort returns a free port of the loopback address, below the kernel's range of ports for outgoing connections; 0 if
// no port is free.
//
// A port inside that range is unsafe while its server is down for a moment: the kernel can give it to a client that
// reconnects. The client then connects to itself and blocks the server's port.
func FreePort() int {
	const lowest = 15000
	highest := firstEphemeral() - 1
	if highest-lowest < 1000 {
		return kernelPort()
	}
	for range 100 {
		if number := lowest + rand.IntN(highest-lowest+1); free(number) {
			return number
		}
	}
	return kernelPort()
}

// firstEphemeral is the start of the kernel's range of ports for outgoing connections; Linux's default if unknown.
func firstEphemeral() int {
	var first int
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 32768
	}
	if _, err := fmt.Sscan(string(data), &first); err != nil {
		return 32768
	}
	return first
}

// kernelPort lets the kernel choose a port; 0 if no port is free, which the server then reports.
func kernelPort() int {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0
	}
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return address.Port
}
