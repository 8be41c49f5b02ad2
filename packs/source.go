package packs

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// source is one YAML file with a single document, as a tree of nodes with places.
//
// attune accepts a strict subset of YAML, so that a file means what a person reads in it: no anchors, aliases, merge keys or tags,
// no repeated keys, only text as keys, and only numbers in JSON's notation.
type source struct {
	path   string // as shown in messages
	lines  [][]rune
	root   *node // nil if the file cannot be read
	report *report
}

// fault reports a problem of the file.
func (s *source) fault(at place, format string, args ...any) {
	s.report.add(s.path, at, format, args...)
}

// readSource reads a file that must hold a mapping. Errors go to the report.
func readSource(path string, report *report) *source {
	s := &source{path: path, report: report}
	data, err := os.ReadFile(path)
	if err != nil {
		s.fault(place{}, "cannot be read: %s", reason(err))
		return s
	}
	s.parse(data)
	return s
}

func (s *source) parse(data []byte) {
	data = bytes.ReplaceAll(bytes.TrimPrefix(data, []byte("\uFEFF")), []byte("\r\n"), []byte("\n"))
	if !utf8.Valid(data) {
		s.fault(place{}, "is not UTF-8 text")
		return
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		s.lines = append(s.lines, []rune(line))
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		s.syntax(err)
		return
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		s.fault(place{}, "is empty")
		return
	}
	if len(file.Docs) > 1 {
		s.fault(placeOf(file.Docs[1].Start), "a second document: use one file for each document")
	}
	root := s.convert(file.Docs[0].Body)
	if root.kind != kindMapping {
		s.fault(root.place, "got %s, want a mapping of keys to values", root.kind)
		return
	}
	s.root = root
}

// syntax reports why a file is not valid YAML, with a hint for a template without quotes.
func (s *source) syntax(err error) {
	invalid, ok := errors.AsType[*yaml.SyntaxError](err)
	if !ok {
		message, _, _ := strings.Cut(err.Error(), "\n")
		s.fault(place{}, "not valid YAML: %s", message)
		return
	}
	at := placeOf(invalid.GetToken())
	hint := ""
	if at.line > 0 && at.line <= len(s.lines) && strings.Contains(string(s.lines[at.line-1]), ": {{") {
		hint = `; put templates in quotes: "{{ … }}"`
	}
	s.fault(at, "not valid YAML: %s%s", invalid.GetMessage(), hint)
}

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{t.Position.Line, t.Position.Column}
}

// convert turns the tree of the parser into nodes. It reports a part that is not allowed and makes it null.
func (s *source) convert(n ast.Node) *node {
	at := placeOf(n.GetToken())
	switch v := n.(type) {
	case *ast.NullNode:
		return &node{place: at, kind: kindNull}
	case *ast.BoolNode:
		return &node{place: at, kind: kindBoolean, text: strings.ToLower(v.Token.Value)}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return s.number(at, n.GetToken().Value)
	case *ast.StringNode:
		return s.text(at, v)
	case *ast.LiteralNode:
		return s.checked(&node{place: placeOf(v.Start), kind: kindText, style: styleBlock, text: v.Value.Value})
	case ast.MapNode:
		return s.mapping(at, v)
	case *ast.SequenceNode:
		list := &node{place: at, kind: kindList}
		for _, item := range v.Values {
			list.items = append(list.items, s.convert(item))
		}
		return list
	default:
		s.fault(at, "anchors, aliases and tags are not supported: write the value itself")
		return &node{place: at, kind: kindNull}
	}
}

// jsonNumber matches the accepted numbers. YAML's other notations are ambiguous: 017 is 15 in YAML 1.1 and 17 in YAML 1.2.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func (s *source) number(at place, text string) *node {
	if !jsonNumber.MatchString(text) {
		s.fault(at, "number %s: write it in decimal digits, or put it in quotes if it is text", text)
		return &node{place: at, kind: kindNull}
	}
	return &node{place: at, kind: kindNumber, text: text}
}

func (s *source) text(at place, v *ast.StringNode) *node {
	n := &node{place: at, kind: kindText, text: v.Value}
	switch v.Token.Type {
	case token.SingleQuoteType:
		n.style = styleSingle
	case token.DoubleQuoteType:
		n.style = styleDouble
	default:
		if jsonNumber.MatchString(v.Value) { // 1e3, and integers beyond 64 bits
			n.kind = kindNumber
		}
	}
	return s.checked(n)
}

// checked reports a text with U+0000, which the database cannot store.
func (s *source) checked(n *node) *node {
	if strings.ContainsRune(n.text, 0) {
		s.fault(n.place, "the text contains U+0000, which cannot be stored")
	}
	return n
}

func (s *source) mapping(at place, v ast.MapNode) *node {
	n := &node{place: at, kind: kindMapping}
	for entries := v.MapRange(); entries.Next(); {
		entry := entries.KeyValue()
		m := member{at: placeOf(entry.Key.GetToken()), value: s.convert(entry.Value)}
		key, isText := entry.Key.(*ast.StringNode)
		if !isText {
			s.fault(m.at, "key %s is not text: put it in quotes", entry.Key.GetToken().Value)
			continue
		}
		m.key = key.Value
		if first := n.member(m.key); first != nil {
			s.fault(m.at, "key %q appears a second time: the first is in line %d", m.key, first.at.line)
			continue
		}
		n.members = append(n.members, m)
	}
	if flow, ok := v.(*ast.MappingNode); len(n.members) > 0 && !(ok && flow.IsFlowStyle) {
		n.place = n.members[0].at
	}
	return n
}

// reason returns the text of a file system error without operation and path: the message of the caller names both.
func reason(err error) string {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err.Error()
	}
	return err.Error()
}
