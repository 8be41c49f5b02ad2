// Command attune is the server in all its roles, the development environment, the demo and the client commands. Run it without
// arguments to list the commands.
package main

import (
	"os"

	"github.com/attune-go/attune/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
