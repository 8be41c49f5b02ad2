package e2e_test

import (
	"os"
	"testing"
)

// soakVariable asks for the long forms of the long proofs. `make soak` sets it.
const soakVariable = "ATTUNE_TEST_SOAK"

// size is how large a long proof is: short for `make test`, long for `make soak`.
func size(short, long int) int {
	if os.Getenv(soakVariable) != "" {
		return long
	}
	return short
}

// measured logs how far a long proof came. `make soak` prints the line with the result.
func measured(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("measured: "+format, args...)
}
