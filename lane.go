package attune

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// LaneName names a lane of a queue. The key of an action's policy chooses the lane of an enforcement:
//
//	""        the queue has no lanes
//	"=text"   the key has a value with this text: see [LaneOf]
//	"-"       the key has no value: see [NoLane]
//	"a12"     the action with the id 12 has no key, in a shared queue: see [ActionLane]
//
// Two enforcements of a queue are in the same lane if their lane names are equal.
type LaneName string

// NoLane is the lane of all enforcements whose key is missing or null. It differs from every lane of [LaneOf].
const NoLane LaneName = "-"

// MaxLaneText bounds the text of a key's value, in bytes.
const MaxLaneText = 256

// laneText begins the name of a lane that has a text, and laneAction that of a lane of an action.
const (
	laneText   = "="
	laneAction = "a"
)

// LaneOf returns the lane of a key's value. The text has 0 to [MaxLaneText] bytes of valid UTF-8 without NUL:
// [LaneName.Validate] checks that.
func LaneOf(text string) LaneName { return LaneName(laneText + text) }

// ActionLane returns the lane of all enforcements of an action without a key, in a shared queue.
func ActionLane(id ActionID) LaneName { return LaneName(laneAction + strconv.FormatInt(int64(id), 10)) }

// Action returns the action of a lane from [ActionLane], or false for any other lane.
func (n LaneName) Action() (ActionID, bool) {
	digits, ok := strings.CutPrefix(string(n), laneAction)
	id, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || id < 1 || ActionLane(ActionID(id)) != n {
		return 0, false
	}
	return ActionID(id), true
}

// Text returns the lane for people: the text of the key's value, "(none)" for [NoLane], and "" in a queue without lanes. The text
// can have control characters: see [EscapeText]. The text of a lane from [ActionLane] is "action 12"; callers that know the reference
// of the action show that instead.
func (n LaneName) Text() string {
	if n == NoLane {
		return "(none)"
	}
	if id, ok := n.Action(); ok {
		return "action " + strconv.FormatInt(int64(id), 10)
	}
	return strings.TrimPrefix(string(n), laneText)
}

// Validate returns a [CodeInvalid] error for a name that no key can have. The error says nothing of the text itself.
func (n LaneName) Validate() error {
	text, ok := strings.CutPrefix(string(n), laneText)
	_, ofAction := n.Action()
	switch {
	case n == "", n == NoLane, ofAction:
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
