package rules

import (
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// priceMatch is the price of one match of the first argument. The second argument is the regular expression.
func priceMatch(stop uint64, args []ref.Val) price {
	p, _ := priceFind(stop, args)
	return p
}

// perMatch is the number of steps for a match, and again for each of its groups, because all their offsets stay in memory.
const perMatch = 5

// priceMatches is the price of finding all matches.
func priceMatches(stop uint64, args []ref.Val) price {
	p, _ := priceFindAll(stop, args)
	return p
}

// priceRewrite is the price of replacing all matches. A group in the replacement ("\1") inserts at most the matched text, and
// matches do not overlap.
func priceRewrite(stop uint64, args []ref.Val) price {
	p, found := priceFindAll(stop, args)
	text, replacement := length(args[0]), textOf(argument(args, 2))
	groups := uint64(strings.Count(replacement, `\`)) + 1
	p.steps = cost.SafeAdd(p.steps, cost.SafeMultiply(found, uint64(len(replacement))/bytesPerStep))
	p.made = cost.SafeAdd(cost.SafeMultiply(groups, text), cost.SafeMultiply(found, uint64(len(replacement))))
	return p
}

// priceFindAll returns the price of finding all matches, and their number. One search is linear in the text. But every match
// needs a search, and each search can read the rest of the text: "a*b|a" does so at every a. So priceFindAll searches once with
// a reader that counts.
func priceFindAll(stop uint64, args []ref.Val) (p price, found uint64) {
	p, pattern := priceFind(stop, args)
	if pattern == nil || p.steps >= stop {
		return p, 0
	}
	size := instructions(pattern)
	found, read := search(textOf(args[1]), textOf(args[0]), cost.SafeMultiply(stop, bytesPerStep)/size+1)
	p.steps = cost.SafeAdd(p.steps, cost.SafeMultiply(2*read, size)/bytesPerStep,
		cost.SafeMultiply(found, perMatch*uint64(pattern.MaxCap()+1)))
	return p, found
}

// priceFind returns the price of one search: in the worst case, every instruction of the program reads every byte of the text.
// pattern is nil for an invalid regular expression: the function itself reports the error.
func priceFind(stop uint64, args []ref.Val) (p price, pattern *syntax.Regexp) {
	p = priceReading(stop, args)
	text := textOf(argument(args, 1))
	if len(text) > maxPatternBytes {
		p.invalid = fmt.Sprintf("the regular expression has %d bytes, more than %d,", len(text), maxPatternBytes)
		return p, nil
	}
	pattern, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return p, nil
	}
	size := instructions(pattern)
	if size > maxInstructions {
		p.invalid = fmt.Sprintf("the regular expression compiles to more than %d instructions", maxInstructions)
		return p, nil
	}
	p.steps = cost.SafeAdd(p.steps, size, cost.SafeMultiply(length(args[0]), size)/bytesPerStep)
	return p, pattern
}

// checkPattern returns an error for a call with a constant regular expression that is too large.
func checkPattern(call interpreter.InterpretableCall) error {
	switch call.Function() {
	case "matches", "regex.extract", "regex.extractAll", "regex.replace":
	default:
		return nil
	}
	pattern, constant := call.Args()[1].(interpreter.InterpretableConst)
	if !constant {
		return nil
	}
	if err := compilable(textOf(pattern.Value())); err != nil {
		return fmt.Errorf("the regular expression is too large: %w", err)
	}
	return nil
}

// compilable returns an error for a regular expression that is too large to compile.
func compilable(text string) error {
	if len(text) > maxPatternBytes || sizeOf(text) > maxInstructions {
		return fmt.Errorf("it compiles to more than %d instructions", maxInstructions)
	}
	return nil
}

// sizeOf bounds the number of instructions of a regular expression. It is 1 for an invalid one.
func sizeOf(text string) uint64 {
	pattern, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 1
	}
	return instructions(pattern)
}

// instructions bounds the number of instructions that a regular expression compiles to.
func instructions(pattern *syntax.Regexp) uint64 {
	own := 2 + uint64(len(pattern.Rune))
	if pattern.Op == syntax.OpCharClass {
		own = 1 // for any number of characters
	}
	for _, sub := range pattern.Sub {
		own = cost.SafeAdd(own, instructions(sub), 1)
	}
	if pattern.Op == syntax.OpRepeat {
		own = cost.SafeMultiply(own, uint64(max(pattern.Min, pattern.Max, 1)))
	}
	return own
}

// search finds all matches in a text. It returns the number of matches, and the number of characters that it read. It stops when
// it has read more than limit characters.
func search(pattern, text string, limit uint64) (found, read uint64) {
	first, err := regexp.Compile(pattern)
	if err != nil {
		return 0, 0
	}
	// A later search begins one character early, so that "^" and "\b" see the character before the match.
	later, err := regexp.Compile(`(?s:\A.)(?s:.*?)(?:` + pattern + `)`)
	if err != nil {
		return 0, 0
	}
	from := &countingReader{text: text, limit: limit}
	for pos, behind := 0, -1; pos <= len(text) && from.read <= limit; {
		pattern, start := first, 0
		if pos > 0 {
			_, width := utf8.DecodeLastRuneInString(text[:pos])
			pattern, start = later, pos-width
		}
		from.next = start
		match := pattern.FindReaderIndex(from)
		if match == nil {
			break
		}
		end := start + match[1]
		if end > pos || pos != behind { // an empty match at the end of the match before does not count
			found++
		}
		pos, behind = end+emptyStep(text, pos, end), end
	}
	return found, from.read
}

// emptyStep returns the bytes that the search skips after a match from pos to end: one character after an empty match, else 0.
func emptyStep(text string, pos, end int) int {
	if end > pos {
		return 0
	}
	_, width := utf8.DecodeRuneInString(text[pos:])
	return max(1, width)
}

// countingReader reads a text, and counts the characters over all searches. It ends at a limit.
type countingReader struct {
	text        string
	next        int    // offset of the next character, in bytes
	read, limit uint64 // in characters
}

// ReadRune implements [io.RuneReader].
func (r *countingReader) ReadRune() (char rune, size int, err error) {
	if r.read++; r.next >= len(r.text) || r.read > r.limit {
		return 0, 0, io.EOF
	}
	char, size = utf8.DecodeRuneInString(r.text[r.next:])
	r.next += size
	return char, size, nil
}
