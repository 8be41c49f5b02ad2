package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
)

// Mistake is one error in a policy document.
type Mistake struct {
	Path    []string // the field, and the members and indexes inside a [Structure]
	Message string   // names the field
}

// Location returns the path as text, such as "limit" or "retry_on.exit_codes[1]".
func (m Mistake) Location() string { return locate("", m.Path) }

// locate appends a path to a location.
func locate(location string, path []string) string {
	for _, step := range path {
		switch _, err := strconv.Atoi(step); {
		case err == nil:
			location += "[" + step + "]"
		case location == "":
			location = step
		default:
			location += "." + step
		}
	}
	return location
}

// DocumentError lists the mistakes in a policy document. Its code is [attune.CodeInvalid].
type DocumentError struct{ Mistakes []Mistake }

// Error returns the messages of all mistakes.
func (e *DocumentError) Error() string {
	messages := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		messages[i] = m.Message
	}
	return strings.Join(messages, "; ")
}

// Unwrap returns an [attune.Error] with the code of the error.
func (e *DocumentError) Unwrap() error { return attune.Errorf(attune.CodeInvalid, "%s", e.Error()) }

// mistake returns a [DocumentError] with one mistake.
func mistake(path []string, format string, args ...any) error {
	return &DocumentError{Mistakes: []Mistake{{Path: path, Message: fmt.Sprintf(format, args...)}}}
}

// MistakesOf returns the mistakes of an error; false for an error of another kind.
func MistakesOf(err error) ([]Mistake, bool) {
	found, ok := errors.AsType[*DocumentError](err)
	if !ok {
		return nil, false
	}
	return slices.Clone(found.Mistakes), true
}

// mistakesOf returns the mistakes of an error.
func mistakesOf(err error) []Mistake {
	found, _ := MistakesOf(err)
	return found
}

// Decode reads a policy document from JSON. A [DocumentError] lists every mistake: a field that does not exist, a value of another
// kind, and a value that is not allowed. A null is a mistake: a field without a value is left out.
func Decode(document []byte) (attune.Policy, error) {
	members, err := membersOf(document)
	if err != nil {
		return attune.Policy{}, err
	}
	var p attune.Policy
	found := unknownFields(members)
	for _, field := range Fields() {
		if value, ok := members[field.Name]; ok {
			found = append(found, mistakesOf(field.decode(&p, value))...)
		}
	}
	found = append(found, decodeGates(members, &p)...)
	if found == nil {
		return p, Validate(p)
	}
	return attune.Policy{}, &DocumentError{Mistakes: found}
}

// membersOf returns the members of a JSON object. A member that is given twice is a mistake.
func membersOf(object []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') || !json.Valid(object) {
		return nil, mistake(nil, "policy: want an object with the fields of a policy")
	}
	members := make(map[string]json.RawMessage)
	for decoder.More() {
		token, _ := decoder.Token() // a name, because the JSON is valid
		name := fmt.Sprint(token)
		if _, twice := members[name]; twice {
			return nil, mistake([]string{name}, "policy %.40s: given twice: give it once", name)
		}
		var value json.RawMessage
		_ = decoder.Decode(&value) // valid, too
		members[name] = value
	}
	return members, nil
}

// unknownFields returns a mistake for each member that is no field, in the order of names.
func unknownFields(members map[string]json.RawMessage) []Mistake {
	known := make(map[string]bool)
	var names []string
	for _, field := range Fields() {
		known[field.Name] = true
		names = append(names, field.Name)
	}
	for _, list := range gateLists() {
		known[list.name] = true
		names = append(names, list.name)
	}
	var found []Mistake
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !known[name] {
			message := fmt.Sprintf("policy: unknown field %.40q: use %s", name, strings.Join(names, ", "))
			found = append(found, Mistake{Path: []string{name}, Message: message})
		}
	}
	return found
}

// Merge returns a document with the changes of a JSON merge patch (RFC 7396): a null removes a field, and the members of a
// [Structure] are merged on their own. Its errors are those of [Decode].
func Merge(document attune.Policy, patch []byte) (attune.Policy, error) {
	members, err := membersOf(patch)
	if err != nil {
		return attune.Policy{}, err
	}
	if found := unknownFields(members); found != nil {
		return attune.Policy{}, &DocumentError{Mistakes: found}
	}
	stored, err := json.Marshal(document)
	if err != nil {
		return attune.Policy{}, fmt.Errorf("encode the policy: %w", err)
	}
	merged, err := json.Marshal(mergePatch(valueOf(stored), valueOf(patch)))
	if err != nil {
		return attune.Policy{}, fmt.Errorf("encode the merged policy: %w", err)
	}
	return Decode(merged)
}

// valueOf decodes valid JSON, with numbers as they are written.
func valueOf(valid []byte) (value any) {
	decoder := json.NewDecoder(bytes.NewReader(valid))
	decoder.UseNumber()
	_ = decoder.Decode(&value) // the caller has checked the JSON
	return value
}

// mergePatch is the function MergePatch of RFC 7396.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged, ok := target.(map[string]any)
	if !ok {
		merged = make(map[string]any)
	}
	for name, change := range changes {
		if change == nil {
			delete(merged, name)
		} else {
			merged[name] = mergePatch(merged[name], change)
		}
	}
	return merged
}

// decodeJSON decodes one JSON value, without members that T does not have. want names the values of T for messages.
func decodeJSON[T any](data []byte, want string, into *T) error {
	if string(bytes.TrimSpace(data)) == "null" {
		return errors.New("got null: leave the field out instead")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	switch mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); {
	case ok && mismatch.Field == "":
		return fmt.Errorf("got %s, want %s", mismatch.Value, want)
	case ok:
		return fmt.Errorf("%s: got %s, want %s", mismatch.Field, mismatch.Value, kindOf(mismatch.Type))
	case err == nil && decoder.More():
		return errors.New("more than one value")
	case err != nil:
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	default:
		return nil
	}
}

// kindOf names the JSON values that a type decodes from.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	case reflect.Int:
		return "a whole number"
	default:
		return "text"
	}
}
