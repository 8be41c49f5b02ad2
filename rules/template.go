package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/attune-go/attune"
)

// template is one compiled JSON value of a rule's parameters. Exactly one of constant, object, list and pieces is set.
type template struct {
	path     []string
	constant string               // JSON text of a value without templates
	object   map[string]*template // by key
	list     []*template
	pieces   []piece // a string with at least one expression
}

// size returns the estimated memory of the template in bytes.
func (t *template) size() int {
	const own, step = 200, 16
	bytes := own + step*len(t.path) + len(t.constant)
	for key, member := range t.object {
		bytes += len(key) + member.size()
	}
	for _, item := range t.list {
		bytes += item.size()
	}
	for _, p := range t.pieces {
		bytes += len(p.text)
		if p.expression != nil {
			bytes += p.expression.size()
		}
	}
	return bytes
}

// piece is a part of a string: plain text or an expression.
type piece struct {
	text         string
	expression   *expression // nil for plain text
	line, column int         // of the expression in the string, from 1
}

// compileTemplate compiles parameters: a JSON object. Empty parameters mean an empty object.
func (l language) compileTemplate(raw json.RawMessage) (*template, Mistakes) {
	if len(raw) == 0 {
		return &template{constant: "{}"}, nil
	}
	if _, mistakes := decodeObject(raw); mistakes != nil {
		return nil, mistakes
	}
	value, err := decodeNumbersAsText(raw)
	if err != nil {
		return nil, mistakeAt(nil, "not valid JSON: %s", err)
	}
	if templateBytes(value) > maxCompiledBytes {
		return nil, mistakeAt(nil, "the compiled templates need more than %d MiB of memory: use fewer or shorter templates",
			maxCompiledBytes>>20)
	}
	left := maxNesting
	return templates{language: l, left: &left}.compileValue(nil, value)
}

// templateBytes estimates the memory of the compiled templates in parameters, without nesting.
func templateBytes(value any) int {
	bytes := 0
	walk(value, nil, func(_ []string, s string) {
		spans, _ := split(s) // the compilation reports the mistake
		for _, braces := range spans {
			bytes += expressionBytes(s[braces.open:braces.close])
		}
	})
	return bytes
}

// templates compiles the values of one rule's parameters.
type templates struct {
	language

	left *int // nesting that further templates may have
}

// compileValue compiles a value and all values in it. It returns all mistakes, not only the first.
func (l templates) compileValue(path []string, value any) (*template, Mistakes) {
	if isConstant(value) {
		return compileConstant(path, value)
	}
	switch v := value.(type) {
	case map[string]any:
		return l.compileObject(path, v)
	case []any:
		return l.compileList(path, v)
	case string:
		return l.compileString(path, v)
	default:
		return compileConstant(path, v)
	}
}

// isConstant reports whether a value has no braces of a template, not even in a key.
func isConstant(value any) bool {
	switch v := value.(type) {
	case string:
		return !strings.Contains(v, "{{")
	case []any:
		return !slices.ContainsFunc(v, func(item any) bool { return !isConstant(item) })
	case map[string]any:
		for key, member := range v {
			if !isConstant(key) || !isConstant(member) {
				return false
			}
		}
	}
	return true
}

// compileConstant compiles a value without templates, of any size, to one text.
func compileConstant(path []string, value any) (*template, Mistakes) {
	text, err := marshal(value)
	if err != nil {
		return nil, mistakeAt(path, "%s", err)
	}
	return &template{path: path, constant: text}, nil
}

func (l templates) compileObject(path []string, members map[string]any) (*template, Mistakes) {
	t := &template{path: path, object: make(map[string]*template, len(members))}
	var mistakes Mistakes
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if strings.Contains(key, "{{") {
			mistakes = append(mistakes, mistakeAt(path, "the key %q is not a template: only values can be", key)...)
		}
		member, found := l.compileValue(child(path, key), members[key])
		t.object[key], mistakes = member, append(mistakes, found...)
	}
	return t, mistakes
}

func (l templates) compileList(path []string, items []any) (*template, Mistakes) {
	t := &template{path: path, list: make([]*template, len(items))}
	var mistakes, found Mistakes
	for i, item := range items {
		t.list[i], found = l.compileValue(child(path, strconv.Itoa(i)), item)
		mistakes = append(mistakes, found...)
	}
	return t, mistakes
}

// compileString splits a string into text and templates, and compiles the expressions.
func (l templates) compileString(path []string, s string) (*template, Mistakes) {
	spans, mistake := split(s)
	if mistake != nil {
		mistake.Path = path
		return nil, Mistakes{*mistake}
	}
	if len(spans) == 0 {
		return compileConstant(path, s)
	}
	t := &template{path: path}
	var mistakes Mistakes
	end := 0
	for _, span := range spans {
		t.pieces = appendText(t.pieces, s[end:span.open])
		p, found := l.compilePiece(path, s, span)
		t.pieces, mistakes = append(t.pieces, p), append(mistakes, found...)
		end = span.close + len("}}")
	}
	t.pieces = appendText(t.pieces, s[end:])
	return t, mistakes
}

func appendText(pieces []piece, text string) []piece {
	if text == "" {
		return pieces
	}
	return append(pieces, piece{text: text})
}

// compilePiece compiles the expression of one span of s.
func (l templates) compilePiece(path []string, s string, braces span) (piece, Mistakes) {
	start := braces.open + len("{{")
	p := piece{}
	p.line, p.column = position(s, start)
	compiled, mistakes := l.compile(s[start:braces.close], l.left)
	p.expression = compiled
	return p, p.relocate(path, mistakes)
}

// relocate changes the locations of mistakes: from the expression to the string at path.
func (p piece) relocate(path []string, mistakes Mistakes) Mistakes {
	for i := range mistakes {
		m := &mistakes[i]
		m.Path = path
		switch m.Line {
		case 0:
			m.Line, m.Column = p.line, p.column
		case 1:
			m.Line, m.Column = p.line, p.column+m.Column-1
		default:
			m.Line += p.line - 1
		}
	}
	return mistakes
}

// render writes the value of the template for an event. It writes nothing for an empty optional, and then absent is true.
func (t *template) render(ctx context.Context, in evaluation, out *encoder) (absent bool, mistakes Mistakes) {
	switch {
	case t.object != nil:
		return false, t.renderObject(ctx, in, out)
	case t.list != nil:
		return false, t.renderList(ctx, in, out)
	case len(t.pieces) == 1:
		return t.renderValue(ctx, in, out)
	case len(t.pieces) > 1:
		return false, t.renderText(ctx, in, out)
	default:
		return false, t.fail(out.raw(t.constant))
	}
}

func (t *template) fail(err error) Mistakes {
	if err == nil {
		return nil
	}
	return mistakeAt(t.path, "%s", err)
}

func (t *template) renderObject(ctx context.Context, in evaluation, out *encoder) Mistakes {
	separator := "{"
	for _, key := range slices.Sorted(maps.Keys(t.object)) {
		before := len(out.buf)
		if err := out.key(separator, key); err != nil {
			return t.fail(err)
		}
		absent, mistakes := t.object[key].render(ctx, in, out)
		switch {
		case mistakes != nil:
			return mistakes
		case absent:
			out.buf = out.buf[:before]
		default:
			separator = ","
		}
	}
	return t.fail(out.raw(strings.TrimPrefix(separator, ",") + "}"))
}

func (t *template) renderList(ctx context.Context, in evaluation, out *encoder) Mistakes {
	separator := "["
	for _, item := range t.list {
		before := len(out.buf)
		if err := out.raw(separator); err != nil {
			return t.fail(err)
		}
		absent, mistakes := item.render(ctx, in, out)
		switch {
		case mistakes != nil:
			return mistakes
		case absent:
			out.buf = out.buf[:before]
		default:
			separator = ","
		}
	}
	return t.fail(out.raw(strings.TrimPrefix(separator, ",") + "]"))
}

// renderValue writes the value of a string that consists of one template. The value keeps its type.
func (t *template) renderValue(ctx context.Context, in evaluation, out *encoder) (absent bool, mistakes Mistakes) {
	value, mistakes := t.eval(ctx, in, t.pieces[0])
	if mistakes != nil {
		return false, mistakes
	}
	if optional, ok := value.(*types.Optional); ok && !optional.HasValue() {
		return true, nil
	}
	return false, t.pieces[0].relocate(t.path, t.fail(out.value(value)))
}

// renderText writes a string of texts and values.
func (t *template) renderText(ctx context.Context, in evaluation, out *encoder) Mistakes {
	var b strings.Builder
	for _, p := range t.pieces {
		b.WriteString(p.text)
		if p.expression == nil {
			continue
		}
		value, mistakes := t.eval(ctx, in, p)
		if mistakes != nil {
			return mistakes
		}
		if err := interpolate(&b, value); err != nil {
			return p.relocate(t.path, t.fail(err))
		}
		if b.Len() > attune.MaxPayloadBytes {
			return t.fail(errTooLarge)
		}
	}
	return t.fail(out.text(b.String()))
}

func (t *template) eval(ctx context.Context, in evaluation, p piece) (ref.Val, Mistakes) {
	value, mistakes := p.expression.eval(ctx, in)
	return value, p.relocate(t.path, mistakes)
}

// interpolate appends the text of a value to b.
func interpolate(b *strings.Builder, value ref.Val) error {
	if optional, ok := value.(*types.Optional); ok {
		if !optional.HasValue() {
			return nil
		}
		value = optional.GetValue()
	}
	if s, ok := asText(value); ok {
		b.WriteString(s)
		return nil
	}
	var out encoder
	if err := out.value(value); err != nil {
		return fmt.Errorf("in a text: %w", err)
	}
	b.Write(out.buf)
	return nil
}
