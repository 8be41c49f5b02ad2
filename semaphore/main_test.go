package semaphore_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain sets the default of 4000 walks of the model, with 30 steps on average. The command line and RAPID_CHECKS override it.
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
