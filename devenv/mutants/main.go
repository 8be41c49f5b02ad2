// Command mutants measures whether the tests of a package notice a mistake in the package. It runs gremlins, which
// changes one operator at a time and runs the tests, which must fail. `make mutants` runs this command.
//
// The command fails when a mutant survives without an entry in tools/mutants.yaml, when an entry names a mutant that does
// not survive or does not exist, and when efficacy or coverage of a package is below 95 %. A mutant whose tests time out
// counts as killed. A mutant that does not compile does not count.
//
// The tests run a few, fixed checks of each property, so that a mutant costs seconds and always gets the same verdict.
// See [environment].
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// leastPercent is the minimum of efficacy and of coverage for the tests of a package.
const leastPercent = 95

func main() {
	if filepath.Base(os.Args[0]) == goName {
		os.Exit(standIn(context.Background(), os.Args[1:]))
	}
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run tests the packages in the given folders, relative to the root of the module, which must be the working folder.
func run(stdout io.Writer, args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	list := flags.String("named", "tools/mutants.yaml", "the file with the mutants that may survive")
	workers := flags.Int("workers", 2, "the number of mutants to test at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	named, err := readNamed(*list)
	if err != nil {
		return err
	}
	g, err := install(ctx, *workers)
	if err != nil {
		return err
	}
	defer g.remove()
	table, problems := []string{tableHead}, []string(nil)
	for _, folder := range flags.Args() {
		folder = filepath.Clean(folder)
		mutants, err := g.unleash(ctx, stdout, folder)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		f := count(mutants)
		table = append(table, f.row(folder))
		problems = slices.Concat(problems, f.below(folder, leastPercent), compare(folder, mutants, named))
	}
	fmt.Fprintf(stdout, "\n%s\n", strings.Join(table, "\n"))
	if len(problems) > 0 {
		return fmt.Errorf("see %s:\n  %s", *list, strings.Join(problems, "\n  "))
	}
	return nil
}
