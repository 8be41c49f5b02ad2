package packs

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// place is a line and a column in a file, from 1. The zero place means the file as a whole.
type place struct{ line, column int }

// kind is the type of a YAML value, in the words of messages.
type kind string

const (
	kindNull    kind = "nothing"
	kindBoolean kind = "a boolean"
	kindNumber  kind = "a number"
	kindText    kind = "text"
	kindList    kind = "a list"
	kindMapping kind = "a mapping"
)

// style is the notation of a text in YAML.
type style int

const (
	stylePlain style = iota
	styleSingle
	styleDouble
	styleBlock // begins with | or >
)

// node is a YAML value with its place.
type node struct {
	place
	kind    kind
	style   style
	text    string // a text as it is, a number or boolean in its JSON form
	members []member
	items   []*node
}

// member is one entry of a mapping.
type member struct {
	key   string
	at    place
	value *node
}

// member returns the entry with this key, or nil.
func (n *node) member(key string) *member {
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

// follow returns the node at the end of a path of keys and indexes, or the last node of the path that exists.
func (n *node) follow(path []string) *node {
	if len(path) == 0 {
		return n
	}
	if m := n.member(path[0]); m != nil {
		return m.value.follow(path[1:])
	}
	if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(n.items) {
		return n.items[i].follow(path[1:])
	}
	return n
}

// json returns the value as JSON, with sorted keys and with numbers as they are written.
func (n *node) json() json.RawMessage {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(n.value()); err != nil {
		return nil // impossible: every value of the tree can be encoded as JSON
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func (n *node) value() any {
	switch n.kind {
	case kindBoolean:
		return n.text == "true"
	case kindNumber:
		return json.Number(n.text)
	case kindText:
		return n.text
	case kindList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.value()
		}
		return list
	case kindMapping:
		object := make(map[string]any, len(n.members))
		for _, m := range n.members {
			object[m.key] = m.value.value()
		}
		return object
	default:
		return nil
	}
}
