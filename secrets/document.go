package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
)

// Marks say which parts of a JSON document are secret. The marks of a part without secrets are nil.
type Marks interface {
	// Secret reports whether the value itself is secret, with all its parts.
	Secret() bool
	// Member returns the marks of a member of an object.
	Member(key string) Marks
	// Element returns the marks of an element of a list. Indexes count from 0.
	Element(index int) Marks
}

// Cover takes the secret parts out of a JSON document. cover returns the text that stands in the place of the part with an index; Cover
// writes it as a JSON string. Cover keeps a null: it has no value. The parts have the order of the document.
func Cover(document json.RawMessage, marks Marks, cover func(index int) string) (json.RawMessage, []attune.SecretField, error) {
	if marks == nil {
		return document, nil, nil
	}
	w := newWalk(document)
	if err := w.cover("", marks); err != nil {
		return nil, nil, err
	}
	covers := make([]json.RawMessage, len(w.fields))
	for i := range covers {
		text, err := json.Marshal(cover(i))
		if err != nil {
			return nil, nil, fmt.Errorf("cover a secret: %w", err)
		}
		covers[i] = text
	}
	return w.splice(covers), w.fields, nil
}

// Masked is the cover of documents that are stored and shown.
func Masked(int) string { return attune.SecretMask }

// Uncover puts the secret parts back into a document. It ignores a part that has no place in the document.
func Uncover(document json.RawMessage, fields []attune.SecretField) (json.RawMessage, error) {
	if len(fields) == 0 {
		return document, nil
	}
	values := make(map[string]json.RawMessage, len(fields))
	for _, f := range fields {
		values[f.Pointer] = f.Value
	}
	w := newWalk(document)
	if err := w.find("", values); err != nil {
		return nil, err
	}
	parts := make([]json.RawMessage, len(w.fields))
	for i, f := range w.fields {
		parts[i] = values[f.Pointer]
	}
	return w.splice(parts), nil
}

// walk reads a document from its start to its end, and remembers parts with their places.
type walk struct {
	document []byte
	decoder  *json.Decoder
	fields   []attune.SecretField
	ends     []int            // of each field: the offset after its last byte
	scalar   func(json.Token) // called for each value that parts reads and that has no parts; nil: not called
}

func newWalk(document []byte) *walk {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	return &walk{document: document, decoder: decoder}
}

// take reads one value, and remembers it unless it is null.
func (w *walk) take(pointer string) error {
	value, err := w.skip()
	if err == nil && string(value) != "null" {
		w.fields = append(w.fields, attune.SecretField{Pointer: pointer, Value: value})
		w.ends = append(w.ends, int(w.decoder.InputOffset()))
	}
	return err
}

// skip reads one value.
func (w *walk) skip() (json.RawMessage, error) {
	var value json.RawMessage
	if err := w.decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("read a document: %w", err)
	}
	return value, nil
}

// cover reads one value and takes the marked parts.
func (w *walk) cover(pointer string, marks Marks) error {
	switch {
	case marks == nil:
		_, err := w.skip()
		return err
	case marks.Secret():
		return w.take(pointer)
	}
	return w.parts(pointer, func(pointer, key string, index int) error {
		if index < 0 {
			return w.cover(pointer, marks.Member(key))
		}
		return w.cover(pointer, marks.Element(index))
	})
}

// find reads one value and takes the parts that have a value.
func (w *walk) find(pointer string, values map[string]json.RawMessage) error {
	if _, found := values[pointer]; found {
		return w.take(pointer)
	}
	return w.parts(pointer, func(pointer, _ string, _ int) error { return w.find(pointer, values) })
}

// parts reads one value. It calls read at each of its members and elements, and read must read that value. The index of a member is
// -1.
func (w *walk) parts(pointer string, read func(pointer, key string, index int) error) error {
	token, err := w.decoder.Token()
	if err != nil {
		return fmt.Errorf("read a document: %w", err)
	}
	delim, compound := token.(json.Delim)
	if !compound {
		if w.scalar != nil {
			w.scalar(token)
		}
		return nil
	}
	for i := 0; w.decoder.More(); i++ {
		key, index := "", i
		if delim == '{' {
			name, err := w.decoder.Token()
			if err != nil {
				return fmt.Errorf("read a document: %w", err)
			}
			key, index = fmt.Sprint(name), -1
		}
		if err := read(pointer+"/"+step(key, index), key, index); err != nil {
			return err
		}
	}
	if _, err := w.decoder.Token(); err != nil {
		return fmt.Errorf("read a document: %w", err)
	}
	return nil
}

// step returns one step of a JSON pointer.
func step(key string, index int) string {
	if index >= 0 {
		return strconv.Itoa(index)
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// splice returns the document with other texts in the places of its fields.
func (w *walk) splice(texts []json.RawMessage) json.RawMessage {
	var out []byte
	from := 0
	for i, text := range texts {
		end := w.ends[i]
		out = append(append(out, w.document[from:end-len(w.fields[i].Value)]...), text...)
		from = end
	}
	return append(out, w.document[from:]...)
}
