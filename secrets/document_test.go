package secrets_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

// marked marks every member with the name "secret", at any depth.
type marked bool

func (m marked) Secret() bool                  { return bool(m) }
func (marked) Member(key string) secrets.Marks { return marked(key == "secret") }
func (marked) Element(index int) secrets.Marks { return marked(false) }
func cover(i int) string                       { return fmt.Sprintf("cover %d", i) }

// nothing marks nothing below the members of a document.
type nothing struct{}

func (nothing) Secret() bool                { return false }
func (nothing) Member(string) secrets.Marks { return nil }
func (nothing) Element(int) secrets.Marks   { return nil }

func TestCloak(t *testing.T) {
	t.Parallel()

	t.Run("only the marked parts change", func(t *testing.T) {
		t.Parallel()
		document := `{ "b": 1.50, "secret" : "hunter2" , "a/~": [ {"secret":{"x":[1]}}, 1e999, {"secret":null} ]}`
		covered, fields, err := secrets.Cover(json.RawMessage(document), marked(false), cover)
		require.NoError(t, err)
		//nolint:testifylint // every byte counts
		require.Equal(t, `{ "b": 1.50, "secret" : "cover 0" , "a/~": [ {"secret":"cover 1"}, 1e999, {"secret":null} ]}`, string(covered))
		require.Equal(t, []attune.SecretField{
			{Pointer: "/secret", Value: json.RawMessage(`"hunter2"`)}, {Pointer: "/a~1~0/0/secret", Value: json.RawMessage(`{"x":[1]}`)},
		}, fields)
		uncovered, err := secrets.Uncover(covered, fields)
		require.NoError(t, err)
		require.Equal(t, document, string(uncovered))
	})

	t.Run("a document without marks stays as it is", func(t *testing.T) {
		t.Parallel()
		for _, marks := range []secrets.Marks{nil, nothing{}} {
			covered, fields, err := secrets.Cover(json.RawMessage(`{"secret": ["a"]}`), marks, secrets.Masked)
			require.NoError(t, err)
			require.Empty(t, fields)
			//nolint:testifylint // every byte counts
			require.Equal(t, `{"secret": ["a"]}`, string(covered))
		}
	})

	t.Run("a field is never printed", func(t *testing.T) {
		t.Parallel()
		field := attune.SecretField{Pointer: "/a", Value: json.RawMessage(`"hunter2"`)}
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", field, []attune.SecretField{field}, field, field), "hunter2")
	})

	t.Run("uncovering reverses covering, for any document", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			document := drawDocument(t, 3)
			covered, fields, err := secrets.Cover(json.RawMessage(document), marked(false), secrets.Masked)
			require.NoError(t, err)
			require.True(t, json.Valid(covered))
			require.NotContains(t, string(covered), "hunter")
			require.Equal(t, strings.Count(document, "hunter"), strings.Count(fmt.Sprint(len(fields), values(fields)), "hunter"))
			uncovered, err := secrets.Uncover(covered, fields)
			require.NoError(t, err)
			require.Equal(t, document, string(uncovered))
		})
	})

	t.Run("a text that is no document is an error", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{``, `{`, `{"secret"`, `{"secret":`, `[{"a":1}`} {
			_, _, err := secrets.Cover(json.RawMessage(text), marked(false), secrets.Masked)
			require.Error(t, err, text)
			_, err = secrets.Uncover(json.RawMessage(text), []attune.SecretField{{Pointer: "/x"}})
			require.Error(t, err, text)
		}
	})
}

func values(fields []attune.SecretField) []string {
	var all []string
	for _, f := range fields {
		all = append(all, string(f.Value))
	}
	return all
}

// drawDocument draws an object with spaces, in which exactly the values of members with the name "secret" contain "hunter".
func drawDocument(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", " ", "\n\t"})
	value := func(depth int) string {
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		switch {
		case kind == 0 && depth > 0:
			return drawDocument(t, depth-1)
		case kind == 1 && depth > 0:
			return "[" + space.Draw(t, "space") + drawDocument(t, depth-1) + " , 1.0 ]"
		default:
			return rapid.SampledFrom([]string{`"a\"}b"`, "-1.50e7", "true", "null", `""`}).Draw(t, "scalar")
		}
	}
	var members []string
	for i := range rapid.IntRange(0, 3).Draw(t, "members") {
		members = append(members, fmt.Sprintf(`"k%d~/"`, i)+space.Draw(t, "space")+":"+space.Draw(t, "space")+value(depth))
	}
	if rapid.Bool().Draw(t, "secret") {
		members = append(members, `"secret"`+space.Draw(t, "space")+":"+space.Draw(t, "space")+
			rapid.SampledFrom([]string{`"hunter2"`, `{"x": ["hunter2"]}`, `["hunter2", {}]`}).Draw(t, "value"))
	}
	return "{" + space.Draw(t, "space") + strings.Join(members, ","+space.Draw(t, "space")) + space.Draw(t, "space") + "}"
}
