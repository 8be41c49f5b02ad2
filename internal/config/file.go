package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseFile returns the values of a settings file by key ("worker.slots", "http.token_file"), and its problems in the form
// "file:line: problem".
func parseFile(path string, data []byte) (map[string]input, []string) {
	f := &fileReader{path: path, lists: map[string]bool{}, found: map[string]input{}}
	for _, s := range settings(new(Config)) {
		for _, form := range s.forms() {
			f.lists[form.key] = s.separator != ""
		}
	}
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

type fileReader struct {
	path     string
	lists    map[string]bool // every valid key, and whether its value is a list
	found    map[string]input
	problems []string
}

func (f *fileReader) at(line int) string { return fmt.Sprintf("%s:%d", f.path, line) }

func (f *fileReader) problem(node ast.Node, format string, args ...any) {
	f.problems = append(f.problems, f.at(node.GetToken().Position.Line)+": "+fmt.Sprintf(format, args...))
}

func (f *fileReader) syntax(err error) {
	problem := fmt.Sprintf("%s: %v", f.path, err)
	if located, ok := errors.AsType[yaml.Error](err); ok && located.GetToken() != nil {
		problem = f.at(located.GetToken().Position.Line) + ": " + located.GetMessage()
	}
	f.problems = append(f.problems, problem)
}

// mapping reads the keys of one level. section is "" for the top level, and otherwise the name of the level and a dot.
func (f *fileReader) mapping(section string, node ast.Node) {
	keys := f.keysOf(section)
	mapping, ok := node.(ast.MapNode)
	if !ok {
		place := cmp.Or(strings.TrimSuffix(section, "."), "the settings file")
		f.problem(node, "%s: use keys with values (%s)", place, strings.Join(keys, ", "))
		return
	}
	for entry := mapping.MapRange(); entry.Next(); {
		key, value := entry.Key().String(), entry.KeyValue().Value
		name := section + key
		switch isList, isSetting := f.lists[name]; {
		case !slices.Contains(keys, key):
			f.problem(entry.KeyValue().Key, "unknown key %q: use %s", name, strings.Join(keys, ", "))
		case isSetting:
			f.setting(name, isList, value)
		default:
			f.mapping(name+".", value)
		}
	}
}

// keysOf lists the valid keys of one level.
func (f *fileReader) keysOf(section string) []string {
	var keys []string
	for name := range f.lists {
		if below, ok := strings.CutPrefix(name, section); ok {
			key, _, _ := strings.Cut(below, ".")
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// setting reads the texts of a setting's values. It does not parse them: see [setting].set.
func (f *fileReader) setting(name string, isList bool, node ast.Node) {
	items := []ast.Node{node}
	if sequence, ok := node.(*ast.SequenceNode); ok && isList {
		items = sequence.Values
	}
	var values []string
	for _, item := range items {
		switch n := item.(type) {
		case *ast.NullNode:
			f.problem(item, "%s has no value: give it one or remove the line", name)
		case *ast.LiteralNode:
			values = append(values, strings.TrimSpace(n.Value.Value))
		case ast.ScalarNode:
			values = append(values, n.GetToken().Value)
		default:
			f.problem(item, "%s: use one value, not a %s", name, strings.ToLower(item.Type().String()))
		}
	}
	if len(values) == len(items) {
		f.found[name] = input{values, f.at(node.GetToken().Position.Line)}
	}
}
