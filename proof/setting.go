package proof

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The words in which a change says where a limit came from.
const (
	byPolicy = " by policy"
	byHand   = " by hand"
	untilTo  = " until "
)

// setting is a limit as a change by hand writes it.
type setting struct {
	limit  int
	byHand bool
	until  time.Time // to the second, rounded down; zero: until it is changed
}

func parseSetting(text string) (setting, bool) {
	var s setting
	number, by := text, ""
	if i := strings.IndexByte(text, ' '); i >= 0 {
		number, by = text[:i], text[i:]
	}
	limit, err := strconv.Atoi(number)
	if err != nil || limit < 0 {
		return s, false
	}
	s.limit = limit
	if by == byPolicy {
		return s, true
	}
	s.byHand = true
	switch rest, ok := strings.CutPrefix(by, byHand); {
	case !ok:
		return s, false
	case rest == "":
		return s, true
	default:
		at, ok := strings.CutPrefix(rest, untilTo)
		s.until, err = time.Parse(time.RFC3339, at)
		return s, ok && err == nil
	}
}

func (s setting) String() string {
	switch {
	case !s.byHand:
		return fmt.Sprintf("%d%s", s.limit, byPolicy)
	case s.until.IsZero():
		return fmt.Sprintf("%d%s", s.limit, byHand)
	default:
		return fmt.Sprintf("%d%s%s%s", s.limit, byHand, untilTo, s.until.UTC().Format(time.RFC3339))
	}
}

// follows reports whether a limit that was last changed to before can be s at the time t. Policies change on their own, and a
// limit that runs out leaves the decision to them.
func (s setting) follows(before setting, t time.Time) bool {
	switch {
	case s.byHand:
		return s == before
	case before.byHand:
		return !before.until.IsZero() && !t.Before(before.until)
	default:
		return true
	}
}
