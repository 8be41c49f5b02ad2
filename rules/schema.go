package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
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

// fromSchemaError converts the error about an invalid schema to mistakes.
func fromSchemaError(err error) Mistakes {
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return (&listing{most: maxReported}).mistakes(invalid)
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
func (c *checker) validate(value any) Mistakes {
	wanted := &listing{most: maxReported}
	return wanted.mistakes(c.check(value, wanted))
}
