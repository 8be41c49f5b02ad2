package rules

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// price bounds the work and the result of a function call. It follows from the arguments, before the call.
type price struct {
	steps   uint64 // without the step of the call itself, and without the steps for made
	made    uint64 // bytes of the text that the call returns; a call with more than maxTextBytes is refused
	invalid string // why the arguments are refused, or ""
}

// pricing computes the price of a call. The price is exact below stop steps.
type pricing func(stop uint64, args []ref.Val) price

// pricings returns the pricing of every function that expressions can call, by name. A function without a pricing is an error:
// see newMetering.
func pricings() map[string]pricing {
	table := map[string]pricing{
		"_+_": priceSum, "_==_": priceEqual, "_!=_": priceEqual, "hasValue": priceEqual,
		"@in": priceIn, "in": priceIn, "_in_": priceIn,

		"contains": priceReading, "startsWith": priceReading, "endsWith": priceReading, "size": priceReading,
		"_<_": priceReading, "_<=_": priceReading, "_>_": priceReading, "_>=_": priceReading,
		"bool": priceReading, "int": priceReading, "uint": priceReading, "double": priceReading,
		"duration": priceReading, "timestamp": priceReading,
		"indexOf": priceSearch, "lastIndexOf": priceSearch,
		"charAt": priceCopy, "substring": priceCopy, "trim": priceCopy, "lowerAscii": priceCopy, "upperAscii": priceCopy,
		"string": priceCopy, "bytes": priceCopy, "base64.decode": priceCopy,
		"base64.encode": priceBase64, "strings.quote": priceQuote, "replace": priceReplace, "split": priceSplit,
		"join": priceJoin, "format": priceFormat,
		"matches": priceMatch, "regex.extract": priceMatch, "regex.extractAll": priceMatches, "regex.replace": priceRewrite,

		"lists.range": priceRange, "flatten": priceVisit, "slice": priceElements, "reverse": priceReverse,
		"distinct": priceDistinct, "sort": priceSort, "@sortByAssociatedKeys": priceSort,
		"optional.unwrap": priceElements, "unwrapOpt": priceElements, "math.@max": priceElements, "math.@min": priceElements,
	}
	for _, name := range []string{"sets.contains", "sets.equivalent", "sets.intersects", "hasAll", "hasAny", "hasExactly", "hasOnly"} {
		table[name] = priceSets
	}
	for _, part := range []string{
		"Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "FullYear", "Hours", "Milliseconds", "Minutes", "Month", "Seconds",
	} {
		table["get"+part] = priceTime
	}
	for _, name := range slices.Concat(operatorNames(), scalarNames(), optionalNames()) {
		table[name] = priceNothing
	}
	return table
}

// operatorNames lists operators without a price: CEL's interpreter counts their operands, or the operands are numbers.
func operatorNames() []string {
	return []string{
		"!_", "-_", "_*_", "_/_", "_%_", "_-_", "_&&_", "_||_", "_?_:_", "_[_]", "_[?_]", "_?._", "cel.@block",
		"@not_strictly_false", "__not_strictly_false__",
	}
}

// scalarNames lists functions of numbers and types.
func scalarNames() []string {
	return []string{
		"dyn", "type", "math.abs", "math.bitAnd", "math.bitNot", "math.bitOr", "math.bitShiftLeft", "math.bitShiftRight",
		"math.bitXor", "math.ceil", "math.floor", "math.isFinite", "math.isInf", "math.isNaN", "math.round", "math.sign", "math.sqrt",
		"math.trunc",
	}
}

// optionalNames lists functions that return a value unchanged.
func optionalNames() []string {
	return []string{"optional.none", "optional.of", "optional.ofNonZeroValue", "or", "orValue", "value", "first", "last"}
}

// textOf returns the text of a string or bytes value, and "" for every other value.
func textOf(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Bytes:
		return string(v)
	default:
		return ""
	}
}

// length returns the bytes of a string or bytes value, and 0 for every other value.
func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case types.Bytes:
		return uint64(len(v))
	default:
		return 0
	}
}

// count returns the number of elements of a list, and 0 for every other value.
func count(v ref.Val) uint64 {
	if list, ok := v.(traits.Lister); ok {
		if size, ok := list.Size().(types.Int); ok {
			return uint64(size)
		}
	}
	return 0
}

func argument(args []ref.Val, i int) ref.Val {
	if i < len(args) {
		return args[i]
	}
	return types.NullValue
}

func priceNothing(uint64, []ref.Val) price { return price{} }

// priceReading is the price of functions that read the texts of their arguments once.
func priceReading(_ uint64, args []ref.Val) price {
	var read uint64
	for _, arg := range args {
		read += length(arg)
	}
	return price{steps: read / bytesPerStep}
}

// priceCopy is the price of functions that return the text of their first argument, or a part of it.
func priceCopy(stop uint64, args []ref.Val) price {
	return price{steps: priceReading(stop, args).steps, made: length(argument(args, 0))}
}

// priceSearch is the price of functions that compare at every offset of a text.
func priceSearch(_ uint64, args []ref.Val) price {
	text, part := length(argument(args, 0)), length(argument(args, 1))
	return price{steps: cost.SafeMultiply(text, part+1) / bytesPerStep}
}

func priceBase64(_ uint64, args []ref.Val) price {
	return price{made: (length(argument(args, 0))/3 + 1) * 4}
}

// priceQuote assumes that every character is escaped.
func priceQuote(_ uint64, args []ref.Val) price { return price{made: 2*length(argument(args, 0)) + 2} }

// priceReplace counts the occurrences first. Counting is fast, and a bound without the count would refuse almost every call.
func priceReplace(stop uint64, args []ref.Val) price {
	text, old, replacement := textOf(argument(args, 0)), textOf(argument(args, 1)), length(argument(args, 2))
	places := uint64(strings.Count(text, old))
	if most, ok := argument(args, 3).(types.Int); ok && most >= 0 {
		places = min(places, uint64(most))
	}
	return price{
		steps: priceReading(stop, args).steps,
		made:  cost.SafeAdd(uint64(len(text))-places*uint64(len(old)), cost.SafeMultiply(places, replacement)),
	}
}

func priceSplit(stop uint64, args []ref.Val) price {
	text, separator := textOf(argument(args, 0)), textOf(argument(args, 1))
	parts := uint64(strings.Count(text, separator)) + 1
	if separator == "" {
		parts = uint64(utf8.RuneCountInString(text))
	}
	return price{steps: priceReading(stop, args).steps + parts}
}

func priceJoin(stop uint64, args []ref.Val) price {
	list, separator := argument(args, 0), length(argument(args, 1))
	m := measure{stop: stop}
	m.add(list)
	return price{steps: m.steps(), made: cost.SafeAdd(m.text, cost.SafeMultiply(count(list), separator))}
}

// priceFormat assumes that every text is written in hexadecimal, and every number with the most digits.
func priceFormat(stop uint64, args []ref.Val) price {
	const scalar, double = 40, 350
	pattern, values := argument(args, 0), argument(args, 1)
	m := measure{stop: stop}
	m.add(values)
	numbers := m.nodes*scalar + m.doubles*double + count(values)*(double+maxPrecision)
	return price{steps: m.steps() + length(pattern)/bytesPerStep, made: length(pattern) + 2*m.text + numbers}
}

func priceSum(stop uint64, args []ref.Val) price {
	left, right := argument(args, 0), argument(args, 1)
	switch left.(type) {
	case types.String, types.Bytes:
		return price{made: length(left) + length(right)}
	case traits.MutableLister: // the list that a macro builds: its elements are already counted, and are not copied
		return price{steps: count(right)}
	case traits.Lister:
		return price{steps: weigh(stop, left, right)}
	default:
		return price{}
	}
}

func priceEqual(stop uint64, args []ref.Val) price {
	if len(args) < 2 {
		return price{}
	}
	return price{steps: lesserWeight(stop, args[0], args[1])}
}

// priceIn is the price of finding a key in a map, or of comparing a value with every element of a list.
func priceIn(stop uint64, args []ref.Val) price {
	value, in := weigh(stop, argument(args, 0)), argument(args, 1)
	if _, ok := in.(traits.Mapper); ok {
		return price{steps: value}
	}
	most := min(stop, cost.SafeMultiply(value, count(in)))
	return price{steps: weigh(most, in)}
}

// priceSets is the price of comparing every element of one list with every element of another list, in both directions.
func priceSets(stop uint64, args []ref.Val) price {
	a, b := argument(args, 0), argument(args, 1)
	least := min(cost.SafeMultiply(weigh(stop, a), count(b)), cost.SafeMultiply(weigh(stop, b), count(a)))
	return price{steps: cost.SafeAdd(cost.SafeMultiply(2, least), count(a), count(b))}
}

func priceVisit(stop uint64, args []ref.Val) price { return price{steps: weigh(stop, args...)} }

func priceElements(_ uint64, args []ref.Val) price { return price{steps: count(argument(args, 0))} }

func priceReverse(stop uint64, args []ref.Val) price {
	p := priceCopy(stop, args)
	p.steps += count(argument(args, 0))
	return p
}

func priceRange(_ uint64, args []ref.Val) price {
	if n, ok := argument(args, 0).(types.Int); ok && n > 0 {
		return price{steps: uint64(n)}
	}
	return price{}
}

func priceDistinct(stop uint64, args []ref.Val) price {
	list, weight := argument(args, 0), weigh(stop, args...)
	if weight >= stop || hashable(list) {
		return price{steps: weight}
	}
	return price{steps: cost.SafeMultiply(weight, count(list))}
}

// priceSort is the price of sorting the elements of the last argument: each element is compared on every level of the sort.
func priceSort(stop uint64, args []ref.Val) price {
	keys := args[len(args)-1]
	levels := uint64(bits.Len64(count(keys))) + 1
	return price{steps: cost.SafeMultiply(2*levels, weigh(stop, keys))}
}

// priceTime is the price of the parts of a time. A call with a time zone reads the zone from a file of the system.
func priceTime(stop uint64, args []ref.Val) price {
	if len(args) < 2 {
		return price{}
	}
	const zone = 200
	return price{steps: zone + priceReading(stop, args).steps}
}

// tooMuch returns why a call with this price is not made, or "".
func (p price) tooMuch() string {
	if p.invalid == "" && p.made > maxTextBytes {
		return fmt.Sprintf("the result could have %d bytes, more than %d,", p.made, maxTextBytes)
	}
	return p.invalid
}
