package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// FuzzPaging reads any cursor: one that is accepted is exactly the one that the API has given for that page.
func FuzzPaging(f *testing.F) {
	for _, cursor := range []string{
		"", cursorOf(1), cursorOf(1<<63 - 1), cursorOf(0), cursorOf(-1), cursorOf(7) + "=", "YmVmb3JlOjAx", "YmVmb3JlOisx", "!", "YmVmb3JlOg",
	} {
		f.Add(cursor)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		page, err := Paging{Cursor: cursor}.page()
		switch {
		case err != nil:
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			require.NotContains(t, err.Error(), "strconv")
		case cursor == "":
			require.Zero(t, page.Before)
		default:
			require.Positive(t, page.Before)
			require.Equal(t, cursor, cursorOf(page.Before))
		}
	})
}
