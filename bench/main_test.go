package bench_test

import (
	"testing"

	"github.com/attune-go/attune/devenv/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
