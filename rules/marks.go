package rules

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/attune-go/attune/secrets"
)

// passwordFormat is the format that marks a text as secret.
const passwordFormat = "password"

// marking knows which parts of a value a schema marks as secret: those that a schema with "writeOnly": true or "format": "password"
// applies to. A part is secret if such a schema applies to it for some value of the other parts: a choice between schemas marks
// what one of them marks. A marking does not change.
type marking struct {
	root    *jsonschema.Schema
	secret  map[*jsonschema.Schema]bool
	leads   map[*jsonschema.Schema]bool     // a secret part can be at the value of the schema, or inside it
	anchors map[string][]*jsonschema.Schema // targets of dynamic references, by anchor; those of recursive references under ""
	bytes   int
}

// size returns the estimated memory of the marking in bytes.
func (m *marking) size() int {
	if m == nil {
		const entry = 100
		return entry
	}
	return m.bytes
}

// newMarking compiles the marks of a schema. It returns nil for a schema that marks nothing.
func newMarking(raw json.RawMessage) (*marking, Mistakes) {
	// The loading of a pack has written this JSON, and escapes no letter: a mark is there as plain text.
	if !bytes.Contains(raw, []byte("writeOnly")) && !bytes.Contains(raw, []byte(passwordFormat)) {
		return nil, nil
	}
	document, size, mistakes := decodeSchema(raw)
	if mistakes != nil {
		return nil, mistakes
	}
	m := &marking{
		bytes: size, secret: make(map[*jsonschema.Schema]bool), leads: make(map[*jsonschema.Schema]bool),
		anchors: make(map[string][]*jsonschema.Schema),
	}
	var parts []*jsonschema.Schema
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.AssertVocabs()
	compiler.RegisterVocabulary(&jsonschema.Vocabulary{URL: schemaURL + "/marks", Compile: m.collector(&parts)})
	err := compiler.AddResource(schemaURL, document)
	if err == nil {
		m.root, err = compiler.Compile(schemaURL)
	}
	if err != nil {
		return nil, fromSchemaError(err)
	}
	m.connect(parts)
	if !m.leads[m.root] {
		return nil, nil
	}
	return m, nil
}

// collector returns the compiler of a vocabulary that reads the marks, because the library reads them in some drafts only. As in the
// function collector, the library calls the compiler for every schema, and the compiler appends the schema to parts.
func (m *marking) collector(
	parts *[]*jsonschema.Schema,
) func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
	return func(ctx *jsonschema.CompilerContext, keywords map[string]any) (jsonschema.SchemaExt, error) {
		part := ctx.Enqueue(nil)
		*parts = append(*parts, part)
		if keywords["writeOnly"] == true || keywords["format"] == passwordFormat {
			m.secret[part] = true
		}
		return nil, nil //nolint:nilnil // the marks are in m: the library has nothing to apply to a value
	}
}

// connect finds the parts that lead to secret parts.
func (m *marking) connect(parts []*jsonschema.Schema) {
	for _, part := range parts {
		if part.DynamicAnchor != "" {
			m.anchors[part.DynamicAnchor] = append(m.anchors[part.DynamicAnchor], part)
		}
		if part.RecursiveAnchor {
			m.anchors[""] = append(m.anchors[""], part)
		}
	}
	users := make(map[*jsonschema.Schema][]*jsonschema.Schema)
	for _, part := range parts {
		for _, inner := range slices.Concat(m.sameValue(part), schemasInside(part)) {
			users[inner] = append(users[inner], part)
		}
	}
	found := slices.Collect(maps.Keys(m.secret))
	for len(found) > 0 {
		part := found[len(found)-1]
		found = found[:len(found)-1]
		if !m.leads[part] {
			m.leads[part] = true
			found = append(found, users[part]...)
		}
	}
}

// sameValue returns the schemas that can apply to the value of a schema. Which target a dynamic reference has depends on the value, so
// each possible one counts.
func (m *marking) sameValue(part *jsonschema.Schema) []*jsonschema.Schema {
	found := schemasOfValue(part)
	if part.DynamicRef != nil {
		found = append(found, m.anchors[part.DynamicRef.Anchor]...)
	}
	if part.RecursiveRef != nil {
		found = append(found, m.anchors[""]...)
	}
	return found
}

// marks returns the marks of a value. They belong to one goroutine. A value with too many parts ends with a panic of [outOfBounds]: see
// bounded.
func (m *marking) marks() secrets.Marks {
	if m == nil {
		return nil
	}
	left := maxSchemaSteps
	return markedPart{marking: m, left: &left}.inside(m.root)
}

// markedPart is one part of a value: the schemas that can apply to it, with the ones that they refer to.
type markedPart struct {
	*marking

	left    *int // steps that the walk may still take
	schemas []*jsonschema.Schema
}

// inside returns the part to which schemas apply, or nil if neither the part nor anything in it is secret.
func (p markedPart) inside(schemas ...*jsonschema.Schema) secrets.Marks {
	next := markedPart{marking: p.marking, left: p.left}
	seen := make(map[*jsonschema.Schema]bool)
	for unseen := schemas; len(unseen) > 0; {
		part := unseen[len(unseen)-1]
		unseen = unseen[:len(unseen)-1]
		if *p.left--; *p.left < 0 {
			panic(outOfBounds{errSchemaSteps})
		}
		if seen[part] || !p.leads[part] {
			continue
		}
		seen[part] = true
		next.schemas = append(next.schemas, part)
		unseen = append(slices.Clip(unseen), p.sameValue(part)...)
	}
	if next.schemas == nil {
		return nil
	}
	return next
}

// Secret implements [secrets.Marks].
func (p markedPart) Secret() bool {
	return slices.ContainsFunc(p.schemas, func(part *jsonschema.Schema) bool { return p.secret[part] })
}

// Member implements [secrets.Marks].
func (p markedPart) Member(key string) secrets.Marks {
	var found []*jsonschema.Schema
	for _, part := range p.schemas {
		found = append(found, ofMember(part, key)...)
	}
	return p.inside(found...)
}

// ofMember returns the inner schemas of a part that apply to a member.
func ofMember(part *jsonschema.Schema, key string) []*jsonschema.Schema {
	found := nonNil(part.Properties[key])
	for pattern, inner := range part.PatternProperties {
		if pattern.MatchString(key) {
			found = append(found, inner)
		}
	}
	if len(found) == 0 {
		found = append(nonNil(part.UnevaluatedProperties), schemasIn(part.AdditionalProperties)...)
	}
	return found
}

// Element implements [secrets.Marks].
func (p markedPart) Element(index int) secrets.Marks {
	var found []*jsonschema.Schema
	for _, part := range p.schemas {
		found = append(found, ofElement(part, index)...)
	}
	return p.inside(found...)
}

// ofElement returns the inner schemas of a part that apply to an element.
func ofElement(part *jsonschema.Schema, index int) []*jsonschema.Schema {
	found := nonNil(part.Contains)
	first := part.PrefixItems
	if list, ok := part.Items.([]*jsonschema.Schema); ok {
		first = list
	}
	if index < len(first) {
		return append(found, first[index])
	}
	if one, ok := part.Items.(*jsonschema.Schema); ok {
		found = append(found, nonNil(one)...)
	}
	return append(append(found, nonNil(part.Items2020, part.UnevaluatedItems)...), schemasIn(part.AdditionalItems)...)
}

// bounded runs a walk over a value with marks. The error says that the value has too many parts for its schema.
func bounded(walk func() error) (err error) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case outOfBounds:
			err = reason.reason
		default:
			panic(reason)
		}
	}()
	return walk()
}

// secretAt reports whether the part at a path is secret, or is inside of a secret part.
func secretAt(marks secrets.Marks, path []string) bool {
	for _, step := range path {
		if marks == nil || marks.Secret() {
			break
		}
		next := marks.Member(step)
		if index, err := strconv.Atoi(step); err == nil && next == nil {
			next = marks.Element(index)
		}
		marks = next
	}
	return marks != nil && marks.Secret()
}
