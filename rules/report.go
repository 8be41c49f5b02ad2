package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/attune-go/attune"
)

// listing says which mistakes of a value a caller wants.
type listing struct {
	most int // listed mistakes; more are only counted
	// skip reports whether an error and its causes are not listed; nil lists all.
	skip func(*jsonschema.ValidationError) bool
}

// report has the first mistakes that a schema finds in a value, ordered by path and message, and the number of the other ones. It
// does not depend on the order in which the validator finds the mistakes. It is the kind of the error that a guard returns.
type report struct {
	kind.Group

	first []*finding // different from each other
	more  int
}

// finding is one mistake. An error is formatted only when it is compared or listed, because the text can be long.
type finding struct {
	err       *jsonschema.ValidationError // without causes
	text      string
	formatted bool
	times     int
}

// mark is the kind of an error that stands for the report about all members, elements or keys.
type mark struct {
	kind.Group

	of relation
}

// mistakes returns the mistakes of an error of a check.
func (l *listing) mistakes(err error) Mistakes {
	if err == nil {
		return nil
	}
	refused, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return mistakeAt(nil, "%s", err)
	}
	return l.summary(nil, refused).mistakes()
}

// summary returns the report of a frame whose schema refuses the value. The frame is nil when the error has no marks.
func (l *listing) summary(f *frame, refused *jsonschema.ValidationError) *report {
	found := &report{}
	l.collect(found, refused, f)
	return found
}

// collect adds the innermost causes of an error to a report.
func (l *listing) collect(found *report, err *jsonschema.ValidationError, f *frame) {
	switch k := err.ErrorKind.(type) {
	case *report:
		found.merge(k, l.most)
	case *mark:
		if f.parts[k.of] != nil { // many errors have the mark
			found.merge(f.parts[k.of], l.most)
			f.parts[k.of] = nil
		}
	default:
		l.collectCauses(found, err, f)
	}
}

// collectCauses adds an error that has no report.
func (l *listing) collectCauses(found *report, err *jsonschema.ValidationError, f *frame) {
	if l.skip != nil && l.skip(err) {
		return
	}
	if len(err.Causes) == 0 {
		found.add(&finding{err: err, times: 1}, l.most)
	}
	for _, cause := range alternatives(err) {
		l.collect(found, cause, f)
	}
}

// merge adds the mistakes of another report, and returns the report with all mistakes. r may be nil.
func (r *report) merge(other *report, most int) *report {
	if r == nil {
		return other
	}
	for _, f := range other.first {
		r.add(f, most)
	}
	r.more += other.more
	return r
}

// add adds a mistake. It counts the last mistake when there are too many.
func (r *report) add(f *finding, most int) {
	i, known := slices.BinarySearchFunc(r.first, f, (*finding).compare)
	if known {
		r.first[i].times += f.times
		return
	}
	r.first = slices.Insert(r.first, i, f)
	if len(r.first) > most {
		r.more += r.first[most].times
		r.first = r.first[:most]
	}
}

// only returns the mistake of a report with exactly one mistake, else nil.
func (r *report) only() *jsonschema.ValidationError {
	if len(r.first) == 1 && r.first[0].times == 1 && r.more == 0 {
		return r.first[0].err
	}
	return nil
}

// bytes returns the estimated memory of a report.
func (r *report) bytes() uint64 {
	bytes := uint64(bytesOfError)
	for _, f := range r.first {
		bytes += mistakeBytes(len(f.err.InstanceLocation))
	}
	return bytes
}

// bytesOfError is the estimated memory of an error without a mistake.
const bytesOfError = 200

// mistakeBytes estimates the memory of a mistake. The mistake has a copy of its path.
func mistakeBytes(level int) uint64 {
	const mistake, step = 500, 16
	return uint64(mistake + step*level)
}

// mistakes returns the report for a person.
func (r *report) mistakes() Mistakes {
	var found Mistakes
	for _, f := range r.first {
		found = append(found, Mistake{Path: f.err.InstanceLocation, Message: f.message()})
	}
	if r.more > 0 {
		found = append(found, Mistake{Message: fmt.Sprintf("and %d more", r.more)})
	}
	return found
}

func (f *finding) compare(other *finding) int {
	if order := slices.Compare(f.err.InstanceLocation, other.err.InstanceLocation); order != 0 {
		return order
	}
	return strings.Compare(f.message(), other.message())
}

func (f *finding) message() string {
	if !f.formatted {
		f.text, f.formatted = describe(f.err), true
	}
	return f.text
}

// describe returns the message of one cause, without its path.
func describe(err *jsonschema.ValidationError) string {
	switch k := err.ErrorKind.(type) {
	case nil:
		return "" // the validator makes such an error only where it drops the error
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties)
	case *kind.FalseSchema:
		return "not allowed"
	}
	bare := jsonschema.ValidationError{SchemaURL: err.SchemaURL, ErrorKind: err.ErrorKind}
	return attune.Shorten(strings.TrimPrefix(bare.Error(), "at '': "), 200)
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
		cause = onlyCause(cause)
		if cause == nil {
			return false
		}
		_, otherType := cause.ErrorKind.(*kind.Type)
		return otherType && len(cause.InstanceLocation) == len(err.InstanceLocation)
	})
	if len(sameType) == 0 {
		return err.Causes
	}
	return sameType
}

// onlyCause returns the innermost cause of an error with only one, else nil.
func onlyCause(err *jsonschema.ValidationError) *jsonschema.ValidationError {
	if found, ok := err.ErrorKind.(*report); ok {
		return found.only()
	}
	switch len(err.Causes) {
	case 0:
		return err
	case 1:
		return onlyCause(err.Causes[0])
	default:
		return nil
	}
}
