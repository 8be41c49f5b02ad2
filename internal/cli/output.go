package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// output is the format of a command's result.
type output string

const (
	outputText output = "text" // for a person
	outputJSON output = "json" // for a program: one document
)

// bindOutput gives cmd the flag --output.
func bindOutput(cmd *cobra.Command) *output {
	o := outputText
	cmd.Flags().VarP(&o, "output", "o", `format of the result: "text" or "json"`)
	return &o
}

// Set implements [pflag.Value].
func (o *output) Set(text string) error {
	switch output(text) {
	case outputText, outputJSON:
		*o = output(text)
		return nil
	default:
		return fmt.Errorf("use %q or %q", outputText, outputJSON)
	}
}

// String implements [pflag.Value].
func (o *output) String() string { return string(*o) }

// Type implements [pflag.Value].
func (o *output) Type() string { return "format" }

// writeJSON writes a document for a program: its texts stay as they are.
func writeJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(unescaped(w))
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
