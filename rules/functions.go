package rules

import (
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// hashable reports whether all elements of a list have the same type, and its values can be keys of a Go map.
func hashable(v ref.Val) bool {
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

// distinct returns the elements of a list without repetitions. It looks hashable elements up in a set. It compares other elements
// with each other, because numbers of different types can be equal.
func distinct(v ref.Val) ref.Val {
	list, ok := v.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	seen := make(map[ref.Val]struct{})
	hashed := hashable(list)
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

// replacedOperators returns the operators that CEL's interpreter has no overload for, or that this package replaces.
func replacedOperators() map[string]functions.BinaryOp {
	return map[string]functions.BinaryOp{
		operators.Equals:    types.Equal,
		operators.NotEquals: func(a, b ref.Val) ref.Val { return types.Bool(types.Equal(a, b) != types.True) },
		operators.Add:       sum,
	}
}

// sum adds two values. The sum of two lists is a new list. CEL's own sum only refers to both lists: many sums would make a chain
// that every index operation follows, and thirty sums could make a list with more elements than fit into memory.
func sum(left, right ref.Val) ref.Val {
	_, mutable := left.(traits.MutableLister) // the list that a macro builds: it appends in place
	a, leftIsList := left.(traits.Lister)
	b, rightIsList := right.(traits.Lister)
	if leftIsList && rightIsList && !mutable {
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
