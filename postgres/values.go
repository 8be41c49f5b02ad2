package postgres

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// How Go values are stored where PostgreSQL knows no such value.

// orNull stores JSON that says nothing as NULL.
func orNull(raw json.RawMessage) *string {
	if len(raw) == 0 {
		return nil
	}
	return new(string(raw))
}

// orNullTime stores the zero time as NULL.
func orNullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// orZeroTime reads what orNullTime stores.
func orZeroTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// orEmpty stores a missing list as an empty one.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// milliseconds rounds up, because a duration above zero must not become zero, which can mean "for ever".
func milliseconds[D ~int64](d D) int64 {
	return (int64(d) + int64(time.Millisecond) - 1) / int64(time.Millisecond)
}

func fromMilliseconds(ms int64) attune.Duration {
	return attune.Duration(time.Duration(ms) * time.Millisecond)
}

// unstorable replaces what a process can print and PostgreSQL cannot store.
const unstorable = "\uFFFD"

// storable makes any text fit for a column of type text: a report must never be refused for what a process printed, or
// its slot would be held for ever.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, unstorable), "\x00", unstorable)
}

// storableJSON is storable for a JSON document. A NUL character is no problem there: it is written as \u0000.
func storableJSON(raw json.RawMessage) json.RawMessage {
	return bytes.ToValidUTF8(raw, []byte(unstorable))
}
