package semaphore_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets the model take 4000 walks of 30 steps on average, 120 000 operations, unless the command line or
// RAPID_CHECKS says how many.
func TestMain(m *testing.M) {
	flag.Parse()
	_, set := os.LookupEnv("RAPID_CHECKS")
	if checks := flag.Lookup("rapid.checks"); !set && checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("4000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
