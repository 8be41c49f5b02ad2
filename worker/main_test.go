package worker_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/attune-go/attune/worker"
)

func TestMain(m *testing.M) {
	if runLimiter() || runZombieLeader() || runVictim() || worker.OrderAndDie() { // an action of a victim has its variables too
		return
	}
	goleak.VerifyTestMain(m)
}
