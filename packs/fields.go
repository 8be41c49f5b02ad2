package packs

import (
	"slices"
	"strings"

	"github.com/attune-go/attune"
)

// fields reads the keys of a mapping and remembers which keys it has read, so that done can report the others as unknown. A key
// with an empty value counts as absent. Errors go to the report of the source.
type fields struct {
	*source
	what  string // "action \"deploy\""
	node  *node
	known []string // the keys read so far
}

// fieldsOf returns the fields of n. If n is not a mapping, it reports that and returns no fields. what names n in messages.
func (s *source) fieldsOf(what string, n *node) *fields {
	if n.kind != kindMapping {
		s.fault(n.place, "%s: got %s, want a mapping", what, n.kind)
		n = &node{place: n.place, kind: kindMapping}
	}
	return &fields{source: s, what: what, node: n}
}

// get returns the value of a key, or nil if it is absent.
func (f *fields) get(key string) *node {
	if !slices.Contains(f.known, key) {
		f.known = append(f.known, key)
	}
	if m := f.node.member(key); m != nil && m.value.kind != kindNull {
		return m.value
	}
	return nil
}

// typed returns the value of a key. It is nil if the key is absent or has another kind, which is reported.
func (f *fields) typed(key string, want kind) *node {
	n := f.get(key)
	if n == nil || n.kind == want {
		return n
	}
	hint := ""
	if want == kindText && (n.kind == kindNumber || n.kind == kindBoolean) {
		hint = ": put it in quotes"
	}
	f.fault(n.place, "%s: got %s, want %s%s", key, n.kind, want, hint)
	return nil
}

// text returns a text, or "" if it is absent.
func (f *fields) text(key string) string {
	if n := f.typed(key, kindText); n != nil {
		return n.text
	}
	return ""
}

// require reports a required key that is absent. meaning says what the key is for.
func (f *fields) require(key, meaning string) {
	if m := f.node.member(key); m == nil || m.value.kind == kindNull {
		f.fault(f.node.place, "%s: the key %q is missing: %s", f.what, key, meaning)
	}
}

// boolean returns a boolean, or the default if it is absent.
func (f *fields) boolean(key string, byDefault bool) bool {
	if n := f.typed(key, kindBoolean); n != nil {
		return n.text == "true"
	}
	return byDefault
}

// texts returns the nodes of a list of texts. It reports and skips items that are not text.
func (f *fields) texts(key string) []*node {
	list := f.typed(key, kindList)
	if list == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list.items), func(item *node) bool {
		wrong := item.kind != kindText
		if wrong {
			f.fault(item.place, "%s: got %s, want text: put it in quotes", key, item.kind)
		}
		return wrong
	})
}

// durationNode returns the value of a key if it may be a duration: text or a number. Otherwise it returns nil.
func (f *fields) durationNode(key string) *node {
	n := f.get(key)
	if n != nil && n.kind != kindText && n.kind != kindNumber {
		f.fault(n.place, "%s: got %s, want a duration such as 30s, 5m or 1h30m", key, n.kind)
		return nil
	}
	return n
}

// duration returns a duration with its node; both are nil if it is absent or wrong.
func (f *fields) duration(key string) (*attune.Duration, *node) {
	n := f.durationNode(key)
	if n == nil {
		return nil, nil
	}
	var d attune.Duration
	if err := d.UnmarshalText([]byte(n.text)); err != nil {
		f.fault(n.place, "%s: %s", key, err)
		return nil, nil
	}
	return &d, n
}

// sizeNode returns the value of a key if it may be a size: text, or a number, of which the reader reports the missing unit. Otherwise
// it returns nil.
func (f *fields) sizeNode(key string) *node {
	if n := f.get(key); n != nil && n.kind == kindNumber {
		return n
	}
	return f.typed(key, kindText)
}

// done reports the keys that were not read as unknown.
func (f *fields) done() {
	for _, m := range f.node.members {
		if !slices.Contains(f.known, m.key) {
			f.fault(m.at, "%s: unknown key %q: use %s", f.what, m.key, strings.Join(f.known, ", "))
		}
	}
}
