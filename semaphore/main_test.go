package semaphore_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets the model take 4000 walks of 30 steps on average, 120 000 operations, unless the command line says how many.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("4000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
