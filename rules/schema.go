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

// schemaURL is the base of references inside a schema. The host name is reserved: nothing is fetched from it.
const schemaURL = "https://attune.invalid/schema"

// negatedURL is the URL of the negated schema.
const negatedURL = schemaURL + "/negated"

// maxReported bounds the listed mistakes of one value. More mistakes usually repeat the same problem.
const maxReported = 5

// noLoader prevents schemas from reading files and the network.
type noLoader struct{}

// Load implements [jsonschema.URLLoader].
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q cannot be loaded: a schema may refer only to itself and to the standard drafts", url)
}

// compileSchema compiles a JSON Schema. The path of a mistake is a path in the schema.
func compileSchema(raw json.RawMessage) (*schema, Mistakes) {
	first, mistakes := newChecker(raw)
	if mistakes != nil {
		return nil, mistakes
	}
	s := &schema{raw: raw}
	s.idle.Put(first)
	return s, nil
}

// fromSchemaError converts the error about an invalid schema to mistakes.
func fromSchemaError(err error) Mistakes {
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return flatten(invalid)
	}
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		return fromSchemaError(invalid.Err)
	}
	if pattern, ok := errors.AsType[*jsonschema.InvalidRegexError](err); ok {
		return mistakeAt(fragment(pattern.URL), "%q is not a regular expression: %s", pattern.Regex, pattern.Err)
	}
	if load, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return mistakeAt(nil, "%s", load.Err)
	}
	return mistakeAt(nil, "%s", strings.ReplaceAll(err.Error(), schemaURL, ""))
}

// fragment returns the path in the fragment of a URL ("…#/properties/ref").
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

// validate checks a decoded value. The path of a mistake is a path in the value.
func (s *schema) validate(value any) Mistakes {
	err := s.check(value)
	if err == nil {
		return nil
	}
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return flatten(invalid)
	}
	return mistakeAt(nil, "%s", err)
}

// flatten lists the first innermost causes of an error. A value can have a mistake in each of thousands of elements. So flatten
// formats only the causes that can be among the first.
func flatten(err *jsonschema.ValidationError) Mistakes {
	const enough = 100
	causes := leaves(err, nil)
	slices.SortFunc(causes, func(a, b *jsonschema.ValidationError) int {
		return slices.Compare(a.InstanceLocation, b.InstanceLocation)
	})
	formatted := min(enough, len(causes))
	for formatted < len(causes) && slices.Equal(causes[formatted].InstanceLocation, causes[formatted-1].InstanceLocation) {
		formatted++
	}
	var found Mistakes
	for _, cause := range causes[:formatted] {
		found = append(found, Mistake{Path: cause.InstanceLocation, Message: describe(cause)})
	}
	found = ordered(found)
	if more := len(found) - maxReported + len(causes) - formatted; more > 0 {
		found = append(found[:min(maxReported, len(found))], Mistake{Message: fmt.Sprintf("and %d more", more)})
	}
	return found
}

// ordered sorts mistakes by path and message, and removes repetitions. The validator visits maps in random order.
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

// alternatives returns the causes to report. When one of several schemas must match, it drops the schemas for another type of
// value, unless no schema is for the type of this value.
func alternatives(err *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch err.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
	default:
		return err.Causes
	}
	sameType := slices.DeleteFunc(slices.Clone(err.Causes), func(cause *jsonschema.ValidationError) bool {
		for len(cause.Causes) == 1 {
			cause = cause.Causes[0]
		}
		_, otherType := cause.ErrorKind.(*kind.Type)
		return otherType && len(cause.InstanceLocation) == len(err.InstanceLocation)
	})
	if len(sameType) == 0 {
		return err.Causes
	}
	return sameType
}

// describe returns the message of one cause, without its path.
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
