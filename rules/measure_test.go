package rules

import (
	"math"
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// genValue draws a decoded value.
func genValue(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.StringN(0, 60, -1).AsAny(), rapid.Int64().AsAny(), rapid.Float64().AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(genValue(depth-1), 0, 4).AsAny(),
		rapid.MapOfN(rapid.StringN(0, 5, -1), genValue(depth-1), 0, 4).AsAny(),
	)...)
}

// parts counts the values and the bytes of text in a decoded value.
func parts(value any) (nodes, text uint64) {
	add := func(value any) {
		n, t := parts(value)
		nodes, text = nodes+n, text+t
	}
	switch v := value.(type) {
	case string:
		text = uint64(len(v))
	case []any:
		for _, item := range v {
			add(item)
		}
	case map[string]any:
		for key, member := range v {
			add(key)
			add(member)
		}
	}
	return nodes + 1, text
}

func TestWeigh_CountsEveryPartOfAValue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		native := genValue(3).Draw(t, "value")
		nodes, text := parts(native)
		value := types.DefaultTypeAdapter.NativeToValue(native)
		whole := nodes + text/bytesPerStep
		if got := weigh(math.MaxUint64, value); got != whole {
			t.Fatalf("weighs %d, want %d", got, whole)
		}
		pair := types.NewRefValList(types.DefaultTypeAdapter, []ref.Val{value, types.OptionalOf(value)})
		if got, want := weigh(math.MaxUint64, pair), 2*nodes+2+2*text/bytesPerStep; got != want {
			t.Fatalf("a list of two weighs %d, want %d", got, want)
		}
		stop := rapid.Uint64Range(1, 50).Draw(t, "stop")
		if got := weigh(stop, value); min(got, stop) != min(whole, stop) {
			t.Fatalf("with stop %d the value weighs %d, want %d", stop, got, whole)
		}
	})
}

func TestLesserWeight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := types.DefaultTypeAdapter.NativeToValue(genValue(3).Draw(t, "a"))
		b := types.DefaultTypeAdapter.NativeToValue(genValue(1).Draw(t, "b"))
		stop := rapid.Uint64Range(1, 500).Draw(t, "stop")
		want := min(weigh(math.MaxUint64, a), weigh(math.MaxUint64, b))
		if got := lesserWeight(stop, a, b); min(got, stop) != min(want, stop) {
			t.Fatalf("the lesser weight is %d, want %d", got, want)
		}
	})
}

func TestWeigh_OfAnEventCountsItsPayload(t *testing.T) {
	t.Parallel()
	language, err := newLanguage()
	require.NoError(t, err)
	view := eventView{Payload: map[string]any{"list": []any{"0123456789", int64(1)}}}
	require.Equal(t, uint64(7), weigh(maxSteps, language.env.CELTypeAdapter().NativeToValue(view)))
}

// A list that contains another list twice, and so on, is small in memory and has too many parts to count.
func TestWeigh_StopsInAValueThatRepeatsItself(t *testing.T) {
	t.Parallel()
	var value ref.Val = types.String("x")
	for range 200 {
		value = types.NewRefValList(types.DefaultTypeAdapter, []ref.Val{value, value})
	}
	require.GreaterOrEqual(t, weigh(1000, value), uint64(1000))
	require.GreaterOrEqual(t, lesserWeight(1000, value, value), uint64(1000))
	require.Equal(t, uint64(1), lesserWeight(maxSteps, value, types.IntOne))
}
