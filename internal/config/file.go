package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseFile returns what a settings file says, by key ("worker.slots", "http.token_file"), and everything that is wrong
// with it as "file:line: problem".
func parseFile(path string, data []byte) (map[string]input, []string) {
	f := &fileReader{path: path, known: knownKeys(), found: map[string]input{}}
	parsed, err := parser.ParseBytes(data, 0)
	switch {
	case err != nil:
		f.syntax(err)
	case len(parsed.Docs) > 1 && parsed.Docs[1].Body != nil:
		f.problem(parsed.Docs[1].Body, "a second document: put all settings into one")
	case len(parsed.Docs) > 0 && parsed.Docs[0].Body != nil:
		f.mapping("", parsed.Docs[0].Body)
	}
	return f.found, f.problems
}

// knownKeys maps each key of a settings file to what may stand there.
func knownKeys() map[string]keyKind {
	known := map[string]keyKind{}
	for _, s := range Settings() {
		known[s.Name] = keyValue
		if s.List != ListNone {
			known[s.Name] = keyList
		}
		if s.Secret {
			known[s.fileName()] = keyValue
		}
		if section, _, nested := strings.Cut(s.Name, "."); nested {
			known[section] = keySection
		}
	}
	return known
}

type keyKind int

const (
	keyUnknown keyKind = iota
	keyValue
	keyList
	keySection
)

type fileReader struct {
	path     string
	known    map[string]keyKind
	found    map[string]input
	problems []string
}

func (f *fileReader) problem(node ast.Node, format string, args ...any) {
	f.problems = append(f.problems, fmt.Sprintf("%s:%d: %s", f.path, node.GetToken().Position.Line, fmt.Sprintf(format, args...)))
}

func (f *fileReader) syntax(err error) {
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil {
		f.problems = append(f.problems, fmt.Sprintf("%s:%d: %s", f.path, located.GetToken().Position.Line, located.GetMessage()))
		return
	}
	f.problems = append(f.problems, fmt.Sprintf("%s: %v", f.path, err))
}

// mapping reads the keys of one level; section is "" for the top.
func (f *fileReader) mapping(section string, node ast.Node) {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		f.problem(node, "%s: use keys with values (%s)", orTop(section), f.keysOf(section))
		return
	}
	for entry := mapping.MapRange(); entry.Next(); {
		name := entry.Key().String()
		if section != "" {
			name = section + "." + name
		}
		f.entry(name, section, entry.KeyValue())
	}
}

func (f *fileReader) entry(name, section string, entry *ast.MappingValueNode) {
	switch f.known[name] {
	case keyUnknown:
		f.problem(entry.Key, "unknown key %q: use %s", name, f.keysOf(section))
	case keySection:
		f.mapping(name, entry.Value)
	case keyList:
		f.list(name, entry.Value)
	case keyValue:
		if text, ok := f.scalar(name, entry.Value); ok {
			f.set(name, entry.Value, text)
		}
	}
}

func (f *fileReader) list(name string, node ast.Node) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		if text, ok := f.scalar(name, node); ok {
			f.set(name, node, text)
		}
		return
	}
	var values []string
	for _, item := range sequence.Values {
		if text, ok := f.scalar(name, item); ok {
			values = append(values, text)
		}
	}
	f.set(name, node, values...)
}

func (f *fileReader) set(name string, node ast.Node, values ...string) {
	f.found[name] = input{values: values, from: fmt.Sprintf("%s:%d", f.path, node.GetToken().Position.Line)}
}

// scalar returns a value as it is written; what it means is the setting's business.
func (f *fileReader) scalar(name string, node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		f.problem(node, "%s has no value: give it one or remove the line", name)
	default:
		f.problem(node, "%s: use one value, not a %s", name, strings.ToLower(node.Type().String()))
	}
	return "", false
}

// keysOf lists the keys that exist at one level, for an error.
func (f *fileReader) keysOf(section string) string {
	var keys []string
	for name := range f.known {
		parent, key, nested := strings.Cut(name, ".")
		switch {
		case section == "" && !nested:
			keys = append(keys, name)
		case section != "" && nested && parent == section:
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

func orTop(section string) string {
	if section == "" {
		return "the settings file"
	}
	return section
}
