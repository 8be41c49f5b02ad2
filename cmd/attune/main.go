// Command attune is the server in all its roles, the development environment, the demo and the client commands. Run it without
// arguments to list the commands.
package main

import (
	"fmt"
	"os"

	"github.com/attune-go/attune/internal/cli"
	"github.com/attune-go/attune/internal/secrecy"
	_ "github.com/attune-go/attune/internal/secrecy/early" // hides the process before main
)

func main() {
	if err := secrecy.Protect(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "attune: %v\n", err)
		os.Exit(1)
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
}
