package proof_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune/proof"
)

// The rows keep the promises at every moment, although decisions are stored late or lost.
func TestCheck_CorrectHistories(t *testing.T) {
	t.Parallel()
	for name, world := range worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				h := newHistory(t, world)
				actions := h.actions()
				actions["control a lane"] = h.controlLane
				actions[""] = func(t *rapid.T) {
					require.Empty(t, h.check().Violations, "%s", &h.rows)
				}
				t.Repeat(actions)
			})
		})
	}
}

// Each corruption of the rows of a correct history is found. Of a swap of decisions, the report can count one more decision that the rows
// cannot judge instead: a cancelled ticket of another action can have waited in front.
func TestCheck_CorruptHistories(t *testing.T) {
	t.Parallel()
	for _, c := range append(corruptions(), laneCorruptions()...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				h := newHistory(t, anyPolicy)
				t.Repeat(h.actions())
				if c.prepare != nil {
					c.prepare(h)
				}
				correct := h.check()
				require.Empty(t, correct.Violations)
				if !c.apply(t, &h.rows) {
					t.Skip("nothing there to corrupt")
				}
				corrupt := proof.Check(h.Rows)
				if c.unclear && corrupt.Checked.Unclear > correct.Checked.Unclear {
					t.Skip("the rows cannot judge it")
				}
				require.NotEmpty(t, corrupt.Violations, "%s", &h.rows)
			})
		})
	}
}
