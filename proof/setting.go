package proof

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The suffixes of a limit in the text of a change.
const (
	byPolicy = " by policy"
	byHand   = " by hand"
	untilTo  = " until "
)

// setting is a limit as a manual change records it: see [attune.LimitOverride.String].
type setting struct {
	limit  int
	manual bool
	until  time.Time // in whole seconds, rounded down; zero without an end
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
	s.manual = true
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
	case !s.manual:
		return fmt.Sprintf("%d%s", s.limit, byPolicy)
	case s.until.IsZero():
		return fmt.Sprintf("%d%s", s.limit, byHand)
	default:
		return fmt.Sprintf("%d%s%s%s", s.limit, byHand, untilTo, s.until.UTC().Format(time.RFC3339))
	}
}

// follows reports whether the limit can be s at the time t if the latest change set it to before. The limit of a policy can
// change without a change by a person, and applies again when a manual limit expires.
func (s setting) follows(before setting, t time.Time) bool {
	switch {
	case s.manual:
		return s == before
	case before.manual:
		return !before.until.IsZero() && !t.Before(before.until)
	default:
		return true
	}
}
