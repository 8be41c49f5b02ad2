package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// checkMembers returns a problem that names the first member of a body that is sent twice, or whose name differs from a declared
// one only in the case of its letters. Go's decoder would take the last of several members, in any case. The framework refuses
// members with other names.
//
// Every body is a flat object. The members inside of payloads and parameters belong to the caller: checkMembers skips them. It
// also accepts what is no JSON object: decodeJSON and the framework refuse that.
func (s *Server) checkMembers(op *huma.Operation, body []byte) error {
	declared, seen := s.membersOf(op), map[string]bool{}
	for name := range memberNames(body) {
		if seen[name] {
			return memberProblem(name, "sent twice: send it once")
		}
		seen[name] = true
		if right, found := otherCase(name, declared); found {
			return memberProblem(name, fmt.Sprintf("unexpected property: write it %q", right))
		}
	}
	return nil
}

// memberNames yields the name of every member of a JSON object, in their order. It ends where the text is no JSON object.
func memberNames(text []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		decoder := json.NewDecoder(bytes.NewReader(text))
		if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
			return
		}
		for decoder.More() {
			var value json.RawMessage
			token, err := decoder.Token()
			name, isName := token.(string)
			if err != nil || !isName || decoder.Decode(&value) != nil || !yield(name) {
				return
			}
		}
	}
}

// membersOf returns the schema of every member that the body of an operation may have.
func (s *Server) membersOf(op *huma.Operation) map[string]*huma.Schema {
	schema := op.RequestBody.Content["application/json"].Schema
	if schema.Ref != "" {
		schema = s.huma.OpenAPI().Components.Schemas.SchemaFromRef(schema.Ref)
	}
	return schema.Properties
}

// otherCase returns the declared name that a name is in another case.
func otherCase(name string, declared map[string]*huma.Schema) (right string, found bool) {
	if declared[name] != nil {
		return "", false
	}
	for right := range declared {
		if strings.EqualFold(right, name) {
			return right, true
		}
	}
	return "", false
}

func memberProblem(name, message string) *Problem {
	return malformedProblem([]ProblemError{{Location: "body." + attune.Shorten(name, maxNameBytes), Message: message}})
}
