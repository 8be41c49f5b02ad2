package attune

import (
	"strconv"
	"strings"
)

// Size is a number of bytes. Its text is a whole number with the unit B, KiB, MiB or GiB.
type Size int64

// unit is a unit of a [Size].
type unit struct {
	name  string
	bytes Size
}

// units lists the units, the largest first.
func units() []unit { return []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}} }

// String returns the text with the largest unit of which the size is a multiple.
func (s Size) String() string {
	for _, u := range units() {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return "0B"
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maxSize bounds a size: 1 PiB.
const maxSize = Size(1 << 50)

// UnmarshalText implements [encoding.TextUnmarshaler]. A text of another form, a negative size and a size above 1 PiB are
// [CodeInvalid].
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range units() {
		number, found := strings.CutSuffix(string(text), u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 63)
		if err != nil || Size(n) > maxSize/u.bytes {
			break
		}
		*s = Size(n) * u.bytes
		return nil
	}
	if _, err := strconv.ParseUint(string(text), 10, 32); err == nil {
		return Errorf(CodeInvalid, "%q has no unit: use a whole number with a unit, such as %[1]sMiB", text)
	}
	return Errorf(CodeInvalid, "%s is not a size: use a whole number with a unit, such as 64MiB or 2GiB", quotePrefix(string(text)))
}
