package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/attune-go/attune"
)

// schemaURL is the base of references inside a schema. The host is reserved and nothing is ever fetched from it.
const schemaURL = "https://attune.invalid/schema"

// refusesURL is the address of a schema that refuses what schemaURL accepts.
const refusesURL = schemaURL + "/refuses"

// maxReported bounds how many mistakes of one value are told: the rest is usually the same mistake again.
const maxReported = 5

// noLoader keeps schemas from reading files and the network.
type noLoader struct{}

// Load implements [jsonschema.URLLoader].
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q cannot be loaded: a schema may refer only to itself and to the standard drafts", url)
}

// compileSchema compiles a JSON Schema. Mistakes have the place in the schema as their path.
func compileSchema(raw json.RawMessage) (*schema, Mistakes) {
	first, mistakes := newChecker(raw)
	if mistakes != nil {
		return nil, mistakes
	}
	s := &schema{raw: raw}
	s.idle.Put(first)
	return s, nil
}

// fromSchemaError turns what is wrong with a schema into mistakes.
func fromSchemaError(err error) Mistakes {
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return flatten(invalid)
	}
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		return fromSchemaError(invalid.Err)
	}
	if pattern, ok := errors.AsType[*jsonschema.InvalidRegexError](err); ok {
		return wrong(fragment(pattern.URL), "%q is not a regular expression: %s", pattern.Regex, pattern.Err)
	}
	if load, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return wrong(nil, "%s", load.Err)
	}
	return wrong(nil, "%s", strings.ReplaceAll(err.Error(), schemaURL, ""))
}

// fragment is the path in the fragment of a URL ("…#/properties/ref").
func fragment(url string) []string {
	_, path, _ := strings.Cut(url, "#")
	var steps []string
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if step != "" {
			steps = append(steps, unescape.Replace(step))
		}
	}
	return steps
}

// validate checks a decoded value. Mistakes have the place in the value as their path.
func (s *schema) validate(value any) Mistakes {
	err := s.check(value)
	if err == nil {
		return nil
	}
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return flatten(invalid)
	}
	return wrong(nil, "%s", err)
}

// flatten lists the causes that have no cause themselves, the first few of them. A value can have a mistake in each of its
// thousands of elements, so only those are put into words that can be among the first.
func flatten(err *jsonschema.ValidationError) Mistakes {
	const enough = 100
	causes := leaves(err, nil)
	slices.SortFunc(causes, func(a, b *jsonschema.ValidationError) int {
		return slices.Compare(a.InstanceLocation, b.InstanceLocation)
	})
	words := min(enough, len(causes))
	for words < len(causes) && slices.Equal(causes[words].InstanceLocation, causes[words-1].InstanceLocation) {
		words++
	}
	var found Mistakes
	for _, cause := range causes[:words] {
		found = append(found, Mistake{Path: cause.InstanceLocation, Message: describe(cause)})
	}
	found = ordered(found)
	if more := len(found) - maxReported + len(causes) - words; more > 0 {
		found = append(found[:min(maxReported, len(found))], Mistake{Message: fmt.Sprintf("and %d more", more)})
	}
	return found
}

// ordered sorts mistakes by place and message, because a validator walks maps, and removes repetitions.
func ordered(found Mistakes) Mistakes {
	slices.SortFunc(found, func(a, b Mistake) int {
		if c := slices.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	return slices.CompactFunc(found, func(a, b Mistake) bool {
		return a.Message == b.Message && slices.Equal(a.Path, b.Path)
	})
}

func leaves(err *jsonschema.ValidationError, found []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(err.Causes) == 0 {
		return append(found, err)
	}
	for _, cause := range alternatives(err) {
		found = leaves(cause, found)
	}
	return found
}

// alternatives are the causes worth telling. Where one of several schemas must match, those for another type of value
// are noise as soon as there is one for this type.
func alternatives(err *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch err.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
	default:
		return err.Causes
	}
	apt := slices.DeleteFunc(slices.Clone(err.Causes), func(cause *jsonschema.ValidationError) bool {
		for len(cause.Causes) == 1 {
			cause = cause.Causes[0]
		}
		_, otherType := cause.ErrorKind.(*kind.Type)
		return otherType && len(cause.InstanceLocation) == len(err.InstanceLocation)
	})
	if len(apt) == 0 {
		return err.Causes
	}
	return apt
}

// describe is the message of one cause, without its place.
func describe(err *jsonschema.ValidationError) string {
	switch k := err.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties)
	case *kind.FalseSchema:
		return "not allowed"
	}
	bare := jsonschema.ValidationError{SchemaURL: err.SchemaURL, ErrorKind: err.ErrorKind}
	return attune.Shorten(strings.TrimPrefix(bare.Error(), "at '': "), 200)
}
