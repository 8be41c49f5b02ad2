package attune

import "time"

// lastYear is the last year, in UTC, that RFC 3339 can express. JSON encoders refuse a later time.
const lastYear = 9999

// CheckTime checks a time that a caller sends. A time with an offset can be in the year 0 or 10000 in UTC, although its text is
// valid; such a time can be decoded and never encoded again. The zero time is valid: it stands for no time.
//
// The error is [CodeInvalid] and names the field.
func CheckTime(field string, t time.Time) error {
	if year := t.UTC().Year(); year < 1 || year > lastYear {
		return Errorf(CodeInvalid, "%s: the year is %d in UTC: use 1 to %d", field, year, lastYear)
	}
	return nil
}

// FormatTime returns a time for messages to people: in UTC, in seconds (RFC 3339).
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Earlier returns the earlier of two times. A zero time stands for no time.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Later returns the later of two times. A zero time stands for no time.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
