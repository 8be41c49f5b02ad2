package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/internal/config"
)

// otherVariables returns the environment variables that are not settings.
func otherVariables() []string {
	return []string{
		"ATTUNE_CONFIG", "ATTUNE_URL", "ATTUNE_TEMPORAL_BIN",
		// Read by Temporal's library.
		"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_TLS", "TEMPORAL_TLS_CLIENT_KEY_DATA", "TEMPORAL_CODEC_AUTH",
		// Read by actions, and by the webhooks of the demo pack.
		"ATTUNE_ACTION", "ATTUNE_ATTEMPT", "ATTUNE_ENFORCEMENT_ID", "ATTUNE_EXECUTION_ID", "ATTUNE_RUN_DIR", "ATTUNE_DEMO_WEBHOOK_SECRET",
		// Read by tests.
		"ATTUNE_TEST_POSTGRES_URL", "ATTUNE_TEST_AMQP_URL", "ATTUNE_TEST_TEMPORAL_ADDRESS", "ATTUNE_TEST_RABBITMQ_API",
		"ATTUNE_TEST_SOAK", "ATTUNE_TESTENV_DAEMON",
	}
}

// knownNames returns all environment variables that attune reads and all flags, with their dashes. The usage of a setting's flag
// names its variables.
func knownNames() map[string]bool {
	known := map[string]bool{}
	for _, variable := range otherVariables() {
		known[variable] = true
	}
	collectFlags(newRoot(newHangups()), known)
	return known
}

func collectFlags(cmd *cobra.Command, known map[string]bool) {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	add := func(f *pflag.Flag) {
		known["--"+f.Name] = true
		for _, variable := range variableName.FindAllString(f.Usage, -1) {
			known[variable] = true
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.PersistentFlags().VisitAll(add)
	for _, sub := range cmd.Commands() {
		collectFlags(sub, known)
	}
}

var (
	variableName = regexp.MustCompile(`\b(?:ATTUNE|TEMPORAL)(?:_[A-Z]+)+\b`)
	flagName     = regexp.MustCompile(`(?:^|[ "(\n])(--[a-z][a-z-]+)`)
)

// unknownNames lists the variables and flags in a text that no program reads.
func unknownNames(text string, known map[string]bool) []string {
	var unknown []string
	for _, name := range variableName.FindAllString(text, -1) {
		if !known[name] {
			unknown = append(unknown, name)
		}
	}
	if strings.Contains(text, "curl ") {
		return unknown // the flags in it are those of curl
	}
	for _, match := range flagName.FindAllStringSubmatch(text, -1) {
		if !known[match[1]] {
			unknown = append(unknown, match[1])
		}
	}
	return unknown
}

// TestHints reads every string literal in the program: a message may only name flags and variables that exist.
func TestHints(t *testing.T) {
	t.Parallel()
	known := knownNames()
	require.Equal(t, []string{"ATTUNE_TEMPORAL_ADDRESS", "--worker-pools"},
		unknownNames("set ATTUNE_TEMPORAL_ADDRESS or --worker-pools, not --worker-pool", known), "the check finds unknown names")

	texts := 0
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && otherPrograms(path, entry.Name()):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		for _, text := range literals(t, path) {
			texts++
			require.Empty(t, unknownNames(text, known), "%s: %q", path, text)
		}
		return nil
	}))
	require.Greater(t, texts, 1000, "texts read")
}

// TestDocumentedVariables checks the variables in the documentation, but not the flags: pages also name flags of other programs.
func TestDocumentedVariables(t *testing.T) {
	t.Parallel()
	known := knownNames()
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range append(pages, "../../README.md", "../../CONTRIBUTING.md", "../../packs/demo/README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, name := range variableName.FindAllString(string(text), -1) {
			require.True(t, known[name], "%s names %s, which no program reads", page, name)
		}
	}
}

// otherPrograms reports whether a folder holds programs with their own flags.
func otherPrograms(path, base string) bool {
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil || base == "testdata" || base == "bin" || strings.HasPrefix(base, ".")
}

// literals returns the string literals of a Go file. It leaves out a flag alone: that is an argument for another program.
func literals(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var texts []string
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		require.NoError(t, err)
		if !strings.HasPrefix(text, "--") || strings.Contains(text, " ") {
			texts = append(texts, text)
		}
		return true
	})
	return texts
}

// TestPortAdvice checks the message for every taken port of `attune dev`: it says how to choose another port, and how to use the
// server at the taken one.
func TestPortAdvice(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(nil, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	want := missingServices(cfg, func(string) (string, bool) { return "", false }, t.TempDir())
	known := knownNames()
	for advice, names := range map[string][]string{
		want.Postgres.PortAdvice:   {"--postgres-port", "ATTUNE_DEV_POSTGRES_PORT", "--postgres-url", "ATTUNE_POSTGRES_URL"},
		want.RabbitMQ.PortAdvice:   {"--rabbitmq-port", "ATTUNE_DEV_RABBITMQ_PORT", "--amqp-url", "ATTUNE_AMQP_URL"},
		want.Temporal.PortAdvice:   {"--temporal-port", "ATTUNE_DEV_TEMPORAL_PORT", "TEMPORAL_ADDRESS"},
		want.Temporal.UIPortAdvice: {"--temporal-ui-port", "ATTUNE_DEV_TEMPORAL_UI_PORT"},
	} {
		message := (&services.PortTakenError{Service: "it", Port: 1, Advice: advice}).Error()
		for _, name := range names {
			require.Contains(t, message, name)
		}
		require.Empty(t, unknownNames(message, known))
	}
}
