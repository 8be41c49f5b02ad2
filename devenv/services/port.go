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

// loopback is the only address services listen on.
const loopback = "127.0.0.1"

// portFreeWait is how long a fixed port may stay taken before that is an error: a predecessor may just be ending.
const portFreeWait = 2 * time.Second

// PortTakenError says that a fixed port is in use by another program.
type PortTakenError struct {
	Service string // what wanted it: "PostgreSQL", "RabbitMQ", "Temporal" or "Temporal's web interface"
	Port    int
	Advice  string // what to do, in the words of the caller who fixed the port
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
	service string // for PortTakenError, like advice
	number  int
	fixed   bool
	advice  string
}

func newPort(service string, number int, advice string) *port {
	return &port{service: service, number: number, fixed: number != 0, advice: advice}
}

func (p *port) String() string { return strconv.Itoa(p.number) }

func (p *port) address() string { return net.JoinHostPort(loopback, p.String()) }

// choose picks a number unless the caller did.
func (p *port) choose() {
	if !p.fixed {
		p.number = FreePort()
	}
}

// keep makes the present number final: a service that has run once is known by it.
func (p *port) keep() { p.fixed = true }

// requireFree fails when a fixed port stays taken.
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

// listen reports whether a server could listen on the port right now.
func listen(number int) error {
	listener, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(number)))
	if err != nil {
		return err
	}
	return listener.Close()
}

func free(number int) bool { return listen(number) == nil }

// FreePort returns a port of the loopback address that is free and below the range from which the kernel numbers outgoing
// connections; 0 if there is none.
//
// A port inside that range would do until its server is down for a moment: then a client that keeps reconnecting can
// be given that very number for its own end, connect to itself and keep the server from coming back.
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

// firstEphemeral is where the kernel's range for outgoing connections starts; Linux's default when it does not say.
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

// kernelPort lets the kernel choose; 0 if there is none left, which the server then reports.
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
