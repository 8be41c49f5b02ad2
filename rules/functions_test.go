package rules

import (
	"math"
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"pgregory.net/rapid"
)

// genList draws a list with many equal values: texts, or numbers of one or several types.
func genList() *rapid.Generator[[]any] {
	texts := rapid.SampledFrom([]any{"a", "b", "c"})
	ints := rapid.SampledFrom([]any{int64(0), int64(1), int64(2)})
	numbers := rapid.SampledFrom([]any{int64(1), uint64(1), 1.0, 0.0, math.Copysign(0, -1), true, "1", []any{int64(1)}, []any{1.0}})
	return rapid.Custom(func(t *rapid.T) []any {
		item := rapid.SampledFrom([]*rapid.Generator[any]{texts, ints, numbers}).Draw(t, "kind")
		return rapid.SliceOfN(item, 0, 8).Draw(t, "list")
	})
}

func TestDistinct_ComparesLikeTheLanguage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := types.DefaultTypeAdapter.NativeToValue(genList().Draw(t, "list"))
		var want []ref.Val
		for it := list.(traits.Lister).Iterator(); it.HasNext() == types.True; {
			if item := it.Next(); !contains(want, item) {
				want = append(want, item)
			}
		}
		if got := distinct(list); got.Equal(types.DefaultTypeAdapter.NativeToValue(want)) != types.True {
			t.Fatalf("got %v, want %v", got.Value(), want)
		}
	})
}

func TestSum_OfListsIsWhatTheLanguageHas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := types.DefaultTypeAdapter.NativeToValue(genList().Draw(t, "a"))
		b := types.DefaultTypeAdapter.NativeToValue(genList().Draw(t, "b"))
		if got := sum(a, b); got.Equal(a.(traits.Adder).Add(b)) != types.True {
			t.Fatalf("got %v", got.Value())
		}
	})
}
