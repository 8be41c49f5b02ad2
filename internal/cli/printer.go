package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/attune-go/attune"
)

// printer writes text for people. It shows control characters instead of sending them to the terminal: packs, the API and errors
// may bring any text. Every command writes to one; JSON, logs and moving progress bars go to [unescaped].
//
// Each Write must hold whole characters, as the functions of package fmt do.
type printer struct{ to io.Writer }

// Write implements [io.Writer].
func (p printer) Write(data []byte) (int, error) {
	if _, err := io.WriteString(p.to, attune.EscapeText(string(data))); err != nil {
		return 0, err
	}
	return len(data), nil
}

// unescaped returns the writer behind a printer, or w itself.
func unescaped(w io.Writer) io.Writer {
	if p, ok := w.(printer); ok {
		return p.to
	}
	return w
}

// table writes rows whose cells are separated by tabs, in columns as wide as their longest cell.
type table struct {
	printer
	columns *tabwriter.Writer
}

// newTable returns a table that Flush writes to w.
func newTable(w io.Writer) table {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	return table{printer{columns}, columns}
}

// Flush writes the rows since the last Flush. The next rows have columns of their own.
func (t table) Flush() error { return t.columns.Flush() }

// oneLine replaces line breaks and tabs, so that a text from a person fits into one row of a table.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// counted returns a number with its noun: "1 slot", "2 slots".
func counted[T int | int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
