package api_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/api.md agrees with the server.
func TestDocs(t *testing.T) {
	t.Parallel()

	read := func(t *testing.T, path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}

	t.Run("every route is mentioned", func(t *testing.T) {
		t.Parallel()
		page := read(t, "../docs/api.md")
		for route := range routes() {
			_, path, _ := strings.Cut(route, " ")
			path = strings.TrimPrefix(path, "/api/v1")
			if last := path[strings.LastIndex(path, "/"):]; last == "/disable" {
				path = last // listed beside enable
			}
			require.Contains(t, page, path+"`", route)
		}
	})

	t.Run("every example reaches a route", func(t *testing.T) {
		t.Parallel()
		page := read(t, "../docs/api.md")
		urls := regexp.MustCompile(`curl [^\n]*"\$ATTUNE(/[^"]*)"([^\n]*)`).FindAllStringSubmatch(page, -1)
		require.Len(t, urls, strings.Count(page, "curl -s"))
		b := setup(t)
		for _, found := range urls {
			method := http.MethodGet
			if strings.Contains(found[2], "--json") {
				method = http.MethodPost
			}
			if strings.Contains(found[0], "-X PUT") {
				method = http.MethodPut
			}
			recorder := b.do(t, request{method, found[1], "", nil})
			require.NotEqual(t, http.StatusMethodNotAllowed, recorder.Code, found[1])
			require.NotContains(t, recorder.Body.String(), "there is nothing at", found[1])
			require.NotContains(t, recorder.Body.String(), "query.", found[1])
		}
	})

	t.Run("every problem is mentioned", func(t *testing.T) {
		t.Parallel()
		page := read(t, "../docs/api.md")
		problems := regexp.MustCompile(`"status":(\d+),.*"code":"(\w+)"`).FindAllStringSubmatch(read(t, "testdata/problems.golden"), -1)
		require.NotEmpty(t, problems)
		for _, found := range problems {
			require.Contains(t, page, "| "+found[1]+" | `"+found[2]+"` |")
		}
	})
}
