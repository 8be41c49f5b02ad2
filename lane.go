package attune

import (
	"strings"
	"unicode/utf8"
)

// LaneName names a lane of a queue. The key of an action's policy chooses the lane of an enforcement:
//
//	""        the queue has no lanes
//	"=text"   the key has a value with this text: see [LaneOf]
//	"-"       the key has no value: see [NoLane]
//
// Two enforcements of a queue are in the same lane if their lane names are equal.
type LaneName string

// NoLane is the lane of all enforcements whose key is missing or null. It differs from every lane of [LaneOf].
const NoLane LaneName = "-"

// MaxLaneText bounds the text of a key's value, in bytes.
const MaxLaneText = 256

// laneText begins the name of a lane that has a text.
const laneText = "="

// LaneOf returns the lane of a key's value. The text has 0 to [MaxLaneText] bytes of valid UTF-8 without NUL:
// [LaneName.Validate] checks that.
func LaneOf(text string) LaneName { return LaneName(laneText + text) }

// Text returns the lane for people: the text of the key's value, "(none)" for [NoLane], and "" in a queue without lanes. The text
// can have control characters: see [EscapeText].
func (n LaneName) Text() string {
	if n == NoLane {
		return "(none)"
	}
	return strings.TrimPrefix(string(n), laneText)
}

// Validate returns a [CodeInvalid] error for a name that no key can have. The error says nothing of the text itself.
func (n LaneName) Validate() error {
	text, ok := strings.CutPrefix(string(n), laneText)
	switch {
	case n == "", n == NoLane:
		return nil
	case !ok:
		return Errorf(CodeInvalid, "lane: %s is not the name of a lane", quotePrefix(string(n)))
	case len(text) > MaxLaneText:
		return Errorf(CodeInvalid, "lane: the text has %d bytes: use at most %d", len(text), MaxLaneText)
	case !utf8.ValidString(text):
		return Errorf(CodeInvalid, "lane: the text is not valid UTF-8")
	case strings.ContainsRune(text, 0):
		return Errorf(CodeInvalid, "lane: the text contains U+0000, which cannot be stored")
	default:
		return nil
	}
}
