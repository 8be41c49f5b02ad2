package packs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/attune-go/attune/packs"
)

// For every position of an expression in a file, and every YAML style, the problem has the place of the mistake in the file.
func TestLoad_PlaceOfAMistake(t *testing.T) {
	t.Parallel()
	dataDir, dir := t.TempDir(), folder(t, rulesOf(""))
	path := filepath.Join(dir, "rules/r.yaml")
	word := rapid.SampledFrom([]string{"payload.a", "1 < 2", `"ä"`, "'x y'", `'it\'s'`, "has(payload.b)", "[1, 2]"})
	space := rapid.SampledFrom([]string{" ", "  ", "\n    ", "\n\n      ", "\n  "})

	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(0, 4).Draw(t, "words") {
			fmt.Fprintf(&b, "%s !=%s", word.Draw(t, "word"), space.Draw(t, "space"))
		}
		expression := b.String() + "culprit" + space.Draw(t, "space") + "!= 1"
		text := "trigger: t\naction: x\n" + writeCriteria(rapid.IntRange(0, 3).Draw(t, "style"), expression)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}

		_, err := packs.LoadAll(dataDir, []string{dir})
		loading, ok := errors.AsType[*packs.LoadError](err)
		if !ok {
			t.Fatalf("no problems, but %v, in\n%s", err, text)
		}
		before, _, _ := strings.Cut(text, "culprit")
		line := 1 + strings.Count(before, "\n")
		column := 1 + len([]rune(before[strings.LastIndex(before, "\n")+1:]))
		for _, p := range loading.Problems {
			if p.Line == line && p.Column == column && strings.Contains(p.Message, "'culprit'") {
				return
			}
		}
		t.Fatalf("want %d:%d, got\n%s\nin\n%s", line, column, err, text)
	})
}

// writeCriteria writes an expression in one of YAML's styles.
func writeCriteria(style int, expression string) string {
	indented := strings.ReplaceAll(expression, "\n", "\n  ")
	switch style {
	case 0:
		return "criteria: |\n  " + indented + "\n"
	case 1:
		return "criteria: >-\n  " + indented + "\n"
	case 2:
		return "criteria: '" + strings.ReplaceAll(indented, "'", "''") + "'\n"
	default:
		return `criteria: "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "ä", `\u00e4`).Replace(indented) + "\"\n"
	}
}

// FuzzLoad loads arbitrary data as pack.yaml and as a rule. The result is a pack or a list of problems that name files.
func FuzzLoad(f *testing.F) {
	f.Add("name: a\ntriggers: {t: {}}\nactions: {x: {command: [ls]}}\n", "trigger: t\naction: x\ncriteria: |\n  payload.a ==\n")
	f.Add("name: a\npolicy: {limit: 1e3}\n", "parameters: {a: [\"{{ x }}\", {b: >-\n  y}]}\n")
	f.Add("name: &a [*a]\n", "? {a: b}\n: - c\n")
	f.Add("name: !!binary x\n<<: *x\n", "a: \"\\u00\n")
	f.Add("---\n---\n", "\t- |\n")
	dataDir, dir := f.TempDir(), f.TempDir()
	f.Fuzz(func(t *testing.T, pack, rule string) {
		if err := os.MkdirAll(filepath.Join(dir, "rules"), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"pack.yaml": pack, "rules/r.yaml": rule} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		loaded, err := packs.LoadAll(dataDir, []string{dir})
		if (loaded == nil) == (err == nil) {
			t.Fatalf("loaded %v with %v", loaded, err)
		}
		if err == nil {
			return
		}
		loading, ok := errors.AsType[*packs.LoadError](err)
		if !ok || len(loading.Problems) == 0 {
			t.Fatalf("no problems, but %v", err)
		}
		for _, p := range loading.Problems {
			if !strings.HasPrefix(p.File, dir) || p.Message == "" || (p.Line == 0) != (p.Column == 0) || p.Line < 0 || p.Column < 0 {
				t.Fatalf("problem %+v", p)
			}
		}
	})
}
