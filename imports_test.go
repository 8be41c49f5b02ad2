package attune_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLinks checks the packages that a package links indirectly. The linter checks its own imports (depguard in .golangci.yaml).
func TestLinks(t *testing.T) {
	t.Parallel()
	const (
		postgreSQL = "github.com/jackc/pgx"
		rabbitMQ   = "github.com/rabbitmq"
		temporal   = "go.temporal.io"
		testenv    = "github.com/attune-go/attune/devenv/testenv"
	)
	tests := []struct {
		pkg, why string
		links    string // a package that pkg does link: it proves that the listing is the right one
		never    []string
	}{
		{"./worker", "a worker holds no credentials but the broker's", rabbitMQ, []string{postgreSQL, temporal}},
		{"./workflows", "what workflow code links must be deterministic", temporal, []string{postgreSQL, rabbitMQ}},
		{"./rules", "matching needs no service", "cel.dev", []string{postgreSQL, rabbitMQ, temporal}},
		{"./packs", "loading needs no service", "github.com/goccy/go-yaml", []string{postgreSQL, rabbitMQ, temporal}},
		{"./postgres", "the database knows no other service", postgreSQL, []string{rabbitMQ, temporal}},
		{"./rabbitmq", "the broker knows no other service", rabbitMQ, []string{postgreSQL, temporal}},
		{"./cmd/attune", "the product carries no test services", postgreSQL, []string{testenv}},
	}
	for _, tt := range tests {
		for _, system := range []string{"linux", "darwin"} { // build constraints can change the list
			t.Run(tt.pkg+" links what it may on "+system, func(t *testing.T) {
				t.Parallel()
				list := exec.CommandContext(t.Context(), "go", "list", "-deps", tt.pkg)
				list.Env = append(os.Environ(), "GOOS="+system)
				out, err := list.Output()
				require.NoError(t, err)
				linked := "\n" + string(out)
				require.Contains(t, linked, "\n"+tt.links)
				for _, never := range tt.never {
					require.NotContains(t, linked, "\n"+never, tt.why)
				}
			})
		}
	}
}
