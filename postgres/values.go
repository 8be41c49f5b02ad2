package postgres

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// orNull stores empty JSON as NULL.
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

// orZeroTime reads NULL as the zero time.
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

// milliseconds rounds up, so that a duration above 0 does not become 0, which can mean "no limit".
func milliseconds[D ~int64](d D) int64 {
	return (int64(d) + int64(time.Millisecond) - 1) / int64(time.Millisecond)
}

func fromMilliseconds(ms int64) attune.Duration {
	return attune.Duration(time.Duration(ms) * time.Millisecond)
}

// replacement replaces characters that PostgreSQL cannot store.
const replacement = "\uFFFD"

// storable makes any text fit for a text column. PostgreSQL must accept every report, whatever the process printed: otherwise
// its slot would never be released.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, replacement), "\x00", replacement)
}

// storableJSON makes a JSON document fit for a json column. JSON writes a NUL character as \u0000, which the column accepts.
func storableJSON(raw json.RawMessage) json.RawMessage {
	return bytes.ToValidUTF8(raw, []byte(replacement))
}
