// Command attune is the whole of attune in one binary: the server in all its roles, the development environment, the demo
// and the client commands. Run it without arguments for a list.
package main

import (
	"os"

	"github.com/attune-go/attune/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
