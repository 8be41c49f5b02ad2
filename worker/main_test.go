package worker_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/attune-go/attune/worker"
)

func TestMain(m *testing.M) {
	if runVictim() || worker.OrderAndDie() {
		return
	}
	goleak.VerifyTestMain(m)
}
