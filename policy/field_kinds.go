package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
)

// Field is one field of a policy document: its name, its allowed values, and how it is parsed, checked and resolved.
type Field struct {
	Name    string // the key in YAML and JSON
	Kind    Kind
	Doc     string   // the meaning, in a phrase
	Default string   // the value when no scope sets the field
	Allowed string   // the allowed values in words: "0 (grants nothing) to 5000"
	Choices []string // every value of a [Choice]
	Bounds  Bounds   // of a [Number]
	// OfQueue says that the field is one of the queue. In a shared queue, no action can set the field: see [CheckJoined].
	OfQueue bool

	Example string       // an allowed value of a [Structure], as JSON
	Type    reflect.Type // the type of a [Structure]

	// Set parses text and sets the field of a document; the text of a [Structure] is JSON. Text that is not of the field's kind,
	// and a value that is not allowed, is a [DocumentError].
	Set func(document *attune.Policy, text string) error
	// IsSet reports whether a document sets the field.
	IsSet func(document attune.Policy) bool
	// JSON returns the field's value in an effective policy.
	JSON func(policy attune.EffectivePolicy) json.RawMessage

	check  func(attune.Policy) error
	decode func(document *attune.Policy, value json.RawMessage) error // sets the field from JSON, like Set
	decide func(ranked []Level, into *attune.EffectivePolicy) Source
	copy   func(into *attune.EffectivePolicy, from attune.EffectivePolicy)
}

// Kind is the type of a field's value.
type Kind string

// The kinds of fields.
const (
	Number   Kind = "whole number"
	Duration Kind = "duration" // text with units, such as 1h30m
	Text     Kind = "text"
	Choice   Kind = "choice" // one text of a fixed list

	Structure Kind = "object" // a JSON object with members of its own
)

// Bounds are the least and the greatest allowed value of a number; nil means unbounded.
type Bounds struct{ Least, Most *int }

// spec declares a field, without its kind and its allowed values.
type spec[T any] struct {
	name, doc    string
	ofQueue      bool // see [Field]
	defaultValue T
	document     func(*attune.Policy) **T          // the field in a document
	effective    func(*attune.EffectivePolicy) *T  // the field in an effective policy
	optional     func(*attune.EffectivePolicy) **T // likewise, for a field that can have no value: defaultText says what that means
	defaultText  string                            // replaces defaultValue in descriptions, unless it is empty
}

// valueRange is a range of values. A nil most means no upper bound. leastText replaces least in messages, unless it is empty.
type valueRange[T cmp.Ordered] struct {
	least     T
	leastText string
	most      *T
}

func (r valueRange[T]) String() string {
	least := cmp.Or(r.leastText, fmt.Sprint(r.least))
	if r.most == nil {
		return least + " or more"
	}
	return fmt.Sprintf("%s to %v", least, *r.most)
}

func (r valueRange[T]) contains(value T) bool {
	return value >= r.least && (r.most == nil || value <= *r.most)
}

func number(s spec[int], allowed valueRange[int]) Field {
	f := s.field(Number, allowed.String(), "%d", allowed.contains, func(text string) (int, error) {
		value, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%s is not a whole number", text)
		}
		return value, nil
	})
	f.Bounds = Bounds{Least: &allowed.least, Most: allowed.most}
	return f
}

func duration(s spec[attune.Duration], allowed valueRange[attune.Duration]) Field {
	return s.field(Duration, allowed.String(), "%s", allowed.contains, func(text string) (attune.Duration, error) {
		var value attune.Duration
		err := value.UnmarshalText([]byte(text))
		return value, err
	})
}

// text declares a field with any text of 1 to most bytes.
func text(s spec[string], most int) Field {
	contains := func(value string) bool {
		return value != "" && len(value) <= most && !strings.ContainsRune(value, 0) // PostgreSQL cannot read a document with U+0000
	}
	allowed := fmt.Sprintf("a text of 1 to %d bytes", most)
	return s.field(Text, allowed, "%.40q", contains, func(text string) (string, error) { return text, nil })
}

// queueName declares a field with the reference of a shared queue.
func queueName(s spec[attune.QueueKey]) Field {
	contains := func(key attune.QueueKey) bool { return attune.Ref(key).Validate() == nil }
	return s.field(Text, "the reference of a queue, pack.name", "%.60q", contains,
		func(text string) (attune.QueueKey, error) { return attune.QueueKey(text), nil })
}

func choice[T ~string](s spec[T], values ...T) Field {
	quoted, choices := make([]string, len(values)), make([]string, len(values))
	for i, value := range values {
		quoted[i], choices[i] = strconv.Quote(string(value)), string(value)
	}
	last := len(quoted) - 1
	allowed := strings.Join(quoted[:last], ", ") + " or " + quoted[last]
	contains := func(value T) bool { return slices.Contains(values, value) }
	f := s.field(Choice, allowed, "%q", contains, func(text string) (T, error) { return T(text), nil })
	f.Choices = choices
	return f
}

// structure declares a field with members of its own. validate returns the path of a wrong value inside the structure and what is
// wrong, or an empty problem. A structure has no default value: defaultText says what its absence means.
func structure[T any](s spec[T], allowed, example string, validate func(T) (path []string, problem string)) Field {
	f := s.checked(Structure, allowed, func(value T) error {
		if path, problem := validate(value); problem != "" {
			return mistake(append([]string{s.name}, path...), "policy %s", locate(s.name, path)+": "+problem)
		}
		return nil
	}, func(text string) (value T, err error) {
		err = decodeJSON([]byte(text), string(Structure), &value)
		return value, err
	})
	f.Example, f.Type = example, reflect.TypeFor[T]()
	return f
}

// field builds the field of a single value. Messages print a value with the format verb.
func (s spec[T]) field(kind Kind, allowed, verb string, contains func(T) bool, parse func(string) (T, error)) Field {
	return s.checked(kind, allowed, func(value T) error {
		if contains(value) {
			return nil
		}
		return mistake([]string{s.name}, "policy %s "+verb+": use %s", s.name, value, allowed)
	}, parse)
}

// checked builds the field. checkValue returns a [DocumentError] for a value that is not allowed.
func (s spec[T]) checked(kind Kind, allowed string, checkValue func(T) error, parse func(string) (T, error)) Field {
	check := func(p attune.Policy) error {
		if value := *s.document(&p); value != nil {
			return checkValue(*value)
		}
		return nil
	}
	return Field{
		Name: s.name, Kind: kind, OfQueue: s.ofQueue, Doc: s.doc, Default: cmp.Or(s.defaultText, fmt.Sprint(s.defaultValue)), Allowed: allowed,
		Set: func(p *attune.Policy, text string) error {
			value, err := parse(text)
			if err != nil {
				return mistake([]string{s.name}, "%s: %s", s.name, err)
			}
			*s.document(p) = &value
			return check(*p)
		},
		IsSet: func(p attune.Policy) bool { return *s.document(&p) != nil },
		JSON: func(p attune.EffectivePolicy) json.RawMessage {
			encoded, err := json.Marshal(s.value(&p))
			if err != nil {
				return nil // unreachable: the values of fields always have a JSON form
			}
			return encoded
		},
		check: check,
		decode: func(p *attune.Policy, raw json.RawMessage) error {
			var value T
			if err := decodeJSON(raw, string(kind), &value); err != nil {
				return mistake([]string{s.name}, "policy %s: %s", s.name, err)
			}
			*s.document(p) = &value
			return check(*p)
		},
		decide: s.decide, copy: s.copy,
	}
}

// decide stores the value in force, and returns its source: the first ranked level that sets the field.
func (s spec[T]) decide(ranked []Level, into *attune.EffectivePolicy) Source {
	for _, level := range ranked {
		if candidate := *s.document(&level.Policy); candidate != nil {
			s.set(into, candidate)
			return level.source()
		}
	}
	s.set(into, nil)
	return Source{Scope: ScopeDefault}
}

// copy stores the value of another effective policy.
func (s spec[T]) copy(into *attune.EffectivePolicy, from attune.EffectivePolicy) {
	if s.optional != nil {
		*s.optional(into) = *s.optional(&from)
		return
	}
	*s.effective(into) = *s.effective(&from)
}

// set stores the value in force; nil stores the default.
func (s spec[T]) set(into *attune.EffectivePolicy, value *T) {
	switch {
	case s.optional != nil:
		*s.optional(into) = value
	case value != nil:
		*s.effective(into) = *value
	default:
		*s.effective(into) = s.defaultValue
	}
}

// value returns the value in force, or a nil pointer for none.
func (s spec[T]) value(p *attune.EffectivePolicy) any {
	if s.optional != nil {
		return *s.optional(p)
	}
	return *s.effective(p)
}
