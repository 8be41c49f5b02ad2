package rules

import (
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// alike reports whether all elements of a list are of one type whose values can be keys of a map in Go.
func alike(v ref.Val) bool {
	list, ok := v.(traits.Lister)
	if !ok {
		return false
	}
	var first ref.Type
	for it := list.Iterator(); it.HasNext() == types.True; {
		item := it.Next()
		switch item.(type) {
		case types.String, types.Int, types.Uint, types.Double, types.Bool:
		default:
			return false
		}
		if first == nil {
			first = item.Type()
		}
		if item.Type() != first {
			return false
		}
	}
	return true
}

// distinct returns the elements of a list without repetitions. Elements that are alike are looked up in a set; others
// are compared with each other, because numbers of different types can be equal.
func distinct(v ref.Val) ref.Val {
	list, ok := v.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	seen := make(map[ref.Val]struct{})
	hashed := alike(list)
	var unique []ref.Val
	for it := list.Iterator(); it.HasNext() == types.True; {
		item := it.Next()
		if !hashed && contains(unique, item) {
			continue
		}
		if _, again := seen[item]; hashed && again {
			continue
		}
		if hashed {
			seen[item] = struct{}{}
		}
		unique = append(unique, item)
	}
	return types.DefaultTypeAdapter.NativeToValue(unique)
}

func contains(values []ref.Val, wanted ref.Val) bool {
	for _, value := range values {
		if wanted.Equal(value) == types.True {
			return true
		}
	}
	return false
}

// replacedOperators are operators that CEL's interpreter evaluates by itself, or differently.
func replacedOperators() map[string]functions.BinaryOp {
	return map[string]functions.BinaryOp{
		operators.Equals:    types.Equal,
		operators.NotEquals: func(a, b ref.Val) ref.Val { return types.Bool(types.Equal(a, b) != types.True) },
		operators.Add:       sum,
	}
}

// sum adds. The sum of two lists is a list of its own. CEL's refers to both: a list of many sums would be a chain that
// every look-up goes through, and thirty sums a list with more elements than memory has.
func sum(left, right ref.Val) ref.Val {
	_, grows := left.(traits.MutableLister) // the list that a macro makes adds to itself
	a, ok := left.(traits.Lister)
	b, also := right.(traits.Lister)
	if ok && also && !grows {
		return join(a, b)
	}
	if adder, ok := left.(traits.Adder); ok {
		return adder.Add(right)
	}
	return types.NewErr("no such overload")
}

func join(left, right traits.Lister) ref.Val {
	items := make([]ref.Val, 0, count(left)+count(right))
	for _, list := range []traits.Lister{left, right} {
		for it := list.Iterator(); it.HasNext() == types.True; {
			items = append(items, it.Next())
		}
	}
	return types.DefaultTypeAdapter.NativeToValue(items)
}
