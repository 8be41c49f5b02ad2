package attune_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

func TestLaneName(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lane    attune.LaneName
		text    string
		refused string // a part of the error of Validate
	}{
		"a queue without lanes":        {"", "", ""},
		"no value":                     {attune.NoLane, "(none)", ""},
		"a text":                       {attune.LaneOf("production"), "production", ""},
		"an empty text":                {attune.LaneOf(""), "", ""},
		"a text like that of no value": {attune.LaneOf("(none)"), "(none)", ""},
		"a dash":                       {attune.LaneOf("-"), "-", ""},
		"a text that begins with =":    {attune.LaneOf("=a"), "=a", ""},
		"a text of the most bytes":     {attune.LaneOf(strings.Repeat("x", 256)), strings.Repeat("x", 256), ""},
		"a text of more bytes":         {attune.LaneOf(strings.Repeat("é", 129)), strings.Repeat("é", 129), "258 bytes: use at most 256"},
		"a text with NUL":              {attune.LaneOf("a\x00b"), "a\x00b", "U+0000"},
		"a text that is not UTF-8":     {attune.LaneOf("\xff"), "\xff", "not valid UTF-8"},
		"the lane of an action":        {attune.ActionLane(12), "action 12", ""},
		"a text like that of one":      {attune.LaneOf("a12"), "a12", ""},
		"an action without an id":      {"a0", "a0", `"a0" is not the name of a lane`},
		"an action with a long id":     {"a012", "a012", `"a012" is not the name of a lane`},
		"a name without a mark":        {"production", "production", `"production" is not the name of a lane`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.text, tt.lane.Text())
			err := tt.lane.Validate()
			if tt.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.refused)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		})
	}
}

func TestActionLane(t *testing.T) {
	t.Parallel()
	id, ok := attune.ActionLane(12).Action()
	require.True(t, ok)
	require.Equal(t, attune.ActionID(12), id)
	for _, lane := range []attune.LaneName{"", attune.NoLane, attune.LaneOf("12"), "a", "a-1", "12", "a1b"} {
		_, ok := lane.Action()
		require.False(t, ok, lane)
	}
}

func TestLaneOf_DifferentTextsAreDifferentLanes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "-", "=", "(none)"}))
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		if (a == b) != (attune.LaneOf(a) == attune.LaneOf(b)) || attune.LaneOf(a) == attune.NoLane || attune.LaneOf(a) == "" {
			t.Fatalf("lanes of %q and %q: %q and %q", a, b, attune.LaneOf(a), attune.LaneOf(b))
		}
		if attune.LaneOf(a).Text() != a {
			t.Fatalf("text of %q: %q", a, attune.LaneOf(a).Text())
		}
	})
}
