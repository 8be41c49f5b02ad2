package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

// maxSecretFields bounds the secret parts of one document.
const maxSecretFields = 1000

// refusedUnseen is the message of a mistake about a secret value. The message of the schema would quote the value.
const refusedUnseen = "the schema refuses this secret value"

// marking returns the marks of a schema; nil if it marks nothing.
func (e *Engine) marking(schema json.RawMessage) (*marking, Mistakes) {
	if len(schema) == 0 {
		return nil, nil
	}
	return e.markings.get(string(schema), func() (*marking, Mistakes) { return newMarking(schema) })
}

// mask takes the secret parts out of a document that has the schema, and puts [attune.SecretMask] in their places.
func (e *Engine) mask(schema, document json.RawMessage) (masked json.RawMessage, fields []attune.SecretField, mistakes Mistakes) {
	marking, mistakes := e.marking(schema)
	if marking == nil {
		return document, nil, mistakes
	}
	err := bounded(func() (err error) {
		masked, fields, err = secrets.Cover(document, marking.marks(), secrets.Masked)
		return err
	})
	if err != nil {
		return nil, nil, mistakeAt(nil, "%s", err)
	}
	if len(fields) > maxSecretFields {
		return nil, nil, mistakeAt(nil, "%d secret values are too many: use at most %d", len(fields), maxSecretFields)
	}
	return masked, fields, nil
}

// maskMessages removes secret values from the messages of mistakes about a value that has the schema.
func (e *Engine) maskMessages(schema json.RawMessage, mistakes Mistakes) Mistakes {
	marking, failed := e.marking(schema)
	if marking == nil || len(mistakes) == 0 {
		return append(mistakes, failed...)
	}
	err := bounded(func() error {
		for i := range mistakes {
			if secretAt(marking.marks(), mistakes[i].Path) {
				mistakes[i].Message = refusedUnseen
			}
		}
		return nil
	})
	if err != nil {
		return mistakeAt(nil, "%s", err)
	}
	return mistakes
}

// covers stand for the secret fields of a document while expressions are evaluated. So no expression sees a secret: what it makes of a
// cover is a function of the cover. A cover is a text that no document contains, because it has a digest of the document.
type covers struct {
	token  string
	cover  *regexp.Regexp // a cover, with the index of its field
	fields []attune.SecretField
}

// newCovers returns the covers of a masked document: the payload of an event, or the parameters of an action.
func newCovers(document json.RawMessage, fields []attune.SecretField) covers {
	if len(fields) == 0 {
		return covers{}
	}
	const shown = 16 // bytes of the digest
	sum := sha256.Sum256(append([]byte("attune cover\x00"), document...))
	token := "secret-" + hex.EncodeToString(sum[:shown])
	return covers{token: token, cover: regexp.MustCompile(token + `-(\d+)\.`), fields: fields}
}

// of returns the cover of the field with an index.
func (c covers) of(i int) string { return fmt.Sprintf("%s-%d.", c.token, i) }

// decode decodes a masked document with the covers in their places. Only the document without masks has a bound: a mask and a cover
// can be longer than the secret.
func (c covers) decode(masked json.RawMessage) (map[string]any, Mistakes) {
	if len(c.fields) == 0 {
		return decodeObject(masked)
	}
	covered := make([]attune.SecretField, len(c.fields))
	for i, f := range c.fields {
		covered[i] = attune.SecretField{Pointer: f.Pointer, Value: fmt.Appendf(nil, "%q", c.of(i))}
	}
	document, err := secrets.Uncover(masked, covered)
	if err != nil {
		return nil, mistakeAt(nil, "%s", err)
	}
	value, mistakes := decode(document)
	object, _ := value.(map[string]any)
	return object, mistakes
}

// in reports whether a text has a cover, or a part of one.
func (c covers) in(text []byte) bool { return c.token != "" && bytes.Contains(text, []byte(c.token)) }

// uncover puts the secret values into a value that consists of covers, or has members that do. It reports whether no cover is left: then
// none is a part of a longer text.
func (c covers) uncover(value json.RawMessage) (json.RawMessage, bool) {
	if !c.in(value) {
		return value, true
	}
	uncovered := regexp.MustCompile(`"`+c.cover.String()+`"`).ReplaceAllFunc(value, func(quoted []byte) []byte {
		i, err := strconv.Atoi(string(c.cover.FindSubmatch(quoted)[1]))
		if err != nil || i >= len(c.fields) {
			return quoted
		}
		return c.fields[i].Value
	})
	return uncovered, !c.in(uncovered) && json.Valid(uncovered)
}

// clean replaces covers in a message.
func (c covers) clean(text string) string {
	if c.token == "" {
		return text
	}
	return c.cover.ReplaceAllLiteralString(text, attune.SecretMask)
}

// settle takes the secret parts out of rendered parameters, and puts the secret values of the event into them. full has all values, for
// the check against the schema. A secret of the event that would become a part of another value is a mistake.
func (e *Engine) settle(
	c covers, schema, rendered json.RawMessage,
) (masked, full json.RawMessage, fields []attune.SecretField, mistakes Mistakes) {
	masked, fields, mistakes = e.mask(schema, rendered)
	if mistakes != nil {
		return nil, nil, nil, mistakes
	}
	if c.in(masked) {
		return nil, nil, nil, mistakeAt(nil, "a secret field of the event would become part of a parameter that is not secret: "+
			"mark the parameter with writeOnly: true in the schema of the action")
	}
	for i := range fields {
		value, ok := c.uncover(fields[i].Value)
		if !ok {
			return nil, nil, nil, mistakeAt(nil, "%s: a secret field of the event can only be passed as a whole value", fields[i].Pointer)
		}
		fields[i].Value = value
	}
	full, err := secrets.Uncover(masked, fields)
	if err != nil {
		return nil, nil, nil, mistakeAt(nil, "%s", err)
	}
	return masked, full, fields, nil
}
