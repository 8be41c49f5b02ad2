package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
)

// Field is one field of a policy document: its name, what it allows, and how it is read, checked and resolved.
type Field struct {
	Name    string // the key in YAML and JSON
	Kind    Kind
	Doc     string   // what it means, in a phrase
	Default string   // in force when no scope says anything
	Allowed string   // the values, as messages write them: "0 (paused) to 5000"
	Choices []string // every value of a [Choice]
	Bounds  Bounds   // of a [Number]

	// Set reads the text of a value into a document. Text that is no value of the field's kind, and a value that is not
	// allowed, is an [attune.CodeInvalid] error that names the field.
	Set func(document *attune.Policy, text string) error
	// JSON is the field's value in an effective policy.
	JSON func(policy attune.QueuePolicy) json.RawMessage

	check  func(attune.Policy) error
	decide func(ranked []Level, into *attune.QueuePolicy) Source
}

// Kind says how a field is written.
type Kind string

// The kinds.
const (
	Number   Kind = "whole number"
	Duration Kind = "duration" // text with units, such as 1h30m
	Choice   Kind = "choice"   // one of a few texts
)

// Bounds are the least and the most that a number may be; nil is no bound.
type Bounds struct{ Least, Most *int }

// spec is what a field is made of, besides its kind and range.
type spec[T cmp.Ordered] struct {
	name, doc string
	byDefault T
	said      func(*attune.Policy) **T     // in a document
	decided   func(*attune.QueuePolicy) *T // in an effective policy
}

// span is a range of values. most nil is no upper bound; lowest is how messages write least, if not plainly.
type span[T cmp.Ordered] struct {
	least  T
	lowest string
	most   *T
}

func (s span[T]) String() string {
	lowest := cmp.Or(s.lowest, fmt.Sprint(s.least))
	if s.most == nil {
		return lowest + " or more"
	}
	return fmt.Sprintf("%s to %v", lowest, *s.most)
}

func (s span[T]) holds(value T) bool { return value >= s.least && (s.most == nil || value <= *s.most) }

func number(s spec[int], allowed span[int]) Field {
	f := s.field(Number, allowed.String(), "%d", allowed.holds, func(text string) (int, error) {
		value, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%s is not a whole number", text)
		}
		return value, nil
	})
	f.Bounds = Bounds{Least: &allowed.least, Most: allowed.most}
	return f
}

func duration(s spec[attune.Duration], allowed span[attune.Duration]) Field {
	return s.field(Duration, allowed.String(), "%s", allowed.holds, func(text string) (attune.Duration, error) {
		var value attune.Duration
		err := value.UnmarshalText([]byte(text))
		return value, err
	})
}

func choice[T ~string](s spec[T], values ...T) Field {
	quoted, choices := make([]string, len(values)), make([]string, len(values))
	for i, value := range values {
		quoted[i], choices[i] = strconv.Quote(string(value)), string(value)
	}
	last := len(quoted) - 1
	allowed := strings.Join(quoted[:last], ", ") + " or " + quoted[last]
	holds := func(value T) bool { return slices.Contains(values, value) }
	f := s.field(Choice, allowed, "%q", holds, func(text string) (T, error) { return T(text), nil })
	f.Choices = choices
	return f
}

// field puts the parts together. verb is how messages print a value.
func (s spec[T]) field(kind Kind, allowed, verb string, holds func(T) bool, parse func(string) (T, error)) Field {
	check := func(p attune.Policy) error {
		if value := *s.said(&p); value != nil && !holds(*value) {
			return attune.Errorf(attune.CodeInvalid, "policy %s "+verb+": use %s", s.name, *value, allowed)
		}
		return nil
	}
	return Field{
		Name: s.name, Kind: kind, Doc: s.doc, Default: fmt.Sprint(s.byDefault), Allowed: allowed,
		Set: func(p *attune.Policy, text string) error {
			value, err := parse(text)
			if err != nil {
				return attune.Errorf(attune.CodeInvalid, "%s: %s", s.name, err)
			}
			*s.said(p) = &value
			return check(*p)
		},
		JSON: func(p attune.QueuePolicy) json.RawMessage {
			encoded, err := json.Marshal(*s.decided(&p))
			if err != nil {
				return nil // cannot be: numbers and texts have a JSON form
			}
			return encoded
		},
		check: check, decide: s.decide,
	}
}

// decide stores the value in force, and returns its source: the first ranked level that says something about the field.
func (s spec[T]) decide(ranked []Level, into *attune.QueuePolicy) Source {
	value, source := s.byDefault, Source{Scope: ScopeDefault}
	for _, level := range ranked {
		said := *s.said(&level.Policy)
		switch here := level.source(); {
		case said == nil:
		case source.Scope == ScopeDefault:
			value, source = *said, here
		case source == here:
			value = min(value, *said)
		}
	}
	*s.decided(into) = value
	return source
}
