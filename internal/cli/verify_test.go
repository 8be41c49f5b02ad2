package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueueVerify(t *testing.T) {
	t.Parallel()
	const counts = `  tickets      2  waiting 1, active 0, executed 1, dropped 0
  grants       1  slots given back 1
  most active  1  at once
`
	t.Run("Kept", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := attuneQueue(t, newAttuneAPI(), "verify")
		require.Zero(t, code, stderr)
		require.Equal(t, "shop.deploy: every promise kept\n"+counts, stdout)
	})

	t.Run("Broken", func(t *testing.T) {
		t.Parallel()
		a := newAttuneAPI()
		a.grants[0].Limit = 0
		code, stdout, stderr := attuneQueue(t, a, "verify", "shop.deploy")
		require.Equal(t, 1, code)
		require.Equal(t, "shop.deploy: 1 violations\n"+
			"  BROKEN  limit: sequence 1 grant 1: decided while 0 slots were held, at a limit of 0\n"+counts, stdout)
		require.Equal(t, "attune: 1 violations in 1 queues\n", stderr)
	})

	t.Run("AQueueThatMovesIsReadAgain", func(t *testing.T) {
		t.Parallel()
		a := newAttuneAPI()
		a.moves = 3 // the first reading and the one after it, and the first of the next
		code, stdout, stderr := attuneQueue(t, a, "verify", "--patience", "1m")
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "every promise kept")
	})

	t.Run("AQueueThatNeverHoldsStillIsNotJudged", func(t *testing.T) {
		t.Parallel()
		a := newAttuneAPI()
		a.moves = 1 << 30
		code, stdout, stderr := attuneQueue(t, a, "verify", "--patience", "0s")
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, `queue "shop.deploy" was not checked: it changed every time it was read`)
	})

	t.Run("UnknownQueue", func(t *testing.T) {
		t.Parallel()
		code, _, stderr := attuneQueue(t, newAttuneAPI(), "verify", "shop.test")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, `queue "shop.test" was not checked: GET /queues/shop.test: 404 Not Found`)
	})
}
