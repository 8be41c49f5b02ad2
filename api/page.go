package api

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// List is one page of a list, newest first.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last page"`
}

// Paging is the query of every list. It is exported because the framework reads only exported fields, also embedded ones.
type Paging struct {
	Limit  pageLimit `query:"limit" doc:"Most items on a page"`
	Cursor string    `query:"cursor" doc:"The value of next from the previous page; its content is not part of the API"`
}

// pageLimit takes its bounds from the domain.
type pageLimit int

// Schema implements [huma.SchemaProvider].
func (pageLimit) Schema(huma.Registry) *huma.Schema {
	least, most := 1.0, float64(attune.MaxPageLimit)
	return &huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &most, Default: attune.DefaultPageLimit}
}

// cursorPrefix is the version of a cursor's content.
const cursorPrefix = "before:"

func (in Paging) page() (attune.Page, error) {
	page := attune.Page{Limit: int(in.Limit)}.Normalize()
	if in.Cursor == "" {
		return page, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	before, parseErr := strconv.ParseInt(strings.TrimPrefix(string(text), cursorPrefix), 10, 64)
	if err != nil || parseErr != nil || before < 1 || cursorOf(before) != in.Cursor {
		return attune.Page{}, errCursor()
	}
	page.Before = before
	return page, nil
}

func errCursor() error {
	return attune.Errorf(attune.CodeInvalid, "query.cursor: not a cursor: send the value of next from an earlier response unchanged")
}

// cursorOf returns the cursor of the page of the items with lower ids.
func cursorOf(before int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorPrefix + strconv.FormatInt(before, 10)))
}

// listOf makes a page of the items. A full page has a cursor of the next page, which may be empty.
func listOf[S, T any](found []S, page attune.Page, id func(S) int64, show func(S) T) *response[List[T]] {
	list := List[T]{Items: make([]T, len(found))}
	for i, item := range found {
		list.Items[i] = show(item)
	}
	if len(found) == page.Limit {
		list.Next = cursorOf(id(found[len(found)-1]))
	}
	return &response[List[T]]{Body: list}
}

// identity is the show function of a list whose items are shown unchanged.
func identity[T any](item T) T { return item }
