package proof

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// laneByPolicy is the text of a change for the limit of a lane without a manual limit.
const laneByPolicy = "by policy"

// parseLaneSetting reads the limit of a lane as a change records it.
func parseLaneSetting(text string) (setting, bool) {
	if text == laneByPolicy {
		return setting{}, true
	}
	s, ok := parseSetting(text)
	return s, ok && s.manual
}

// laneSetting is a change of a lane's limit.
type laneSetting struct {
	change int64
	setting
}

// settleLanes sorts the changes of the limits of lanes by lane.
func (c *check) settleLanes() {
	c.manual = make(map[int32][]laneSetting)
	for _, change := range c.changes {
		if set, ok := parseLaneSetting(change.To); change.Kind == attune.ChangeLaneLimit && ok {
			c.manual[change.Lane] = append(c.manual[change.Lane], laneSetting{change: change.Number, setting: set})
		}
	}
}

// limits are the least and the greatest limit that can have been in force; nil is no limit.
type limits struct{ least, most *int }

// known returns the limit, if only one can have been in force.
func (l limits) known() *int {
	if l.least != nil && l.most != nil && *l.least == *l.most {
		return l.least
	}
	return nil
}

// laneLimits returns the limits of a lane at a decision. perKey is the limit of the policy. The decision names the changes that had been
// made. A generation after the first can have lost a manual limit with an end, because a rebuild compares the end with another clock.
func (c *check) laneLimits(d *decision, lane int32, perKey *int) limits {
	if !c.hasChanges(d) {
		return limits{new(0), nil}
	}
	settings := c.manual[lane]
	i, _ := slices.BinarySearchFunc(settings, d.Changes+1, func(s laneSetting, change int64) int { return int(s.change - change) })
	switch {
	case i == 0 || !settings[i-1].manual:
		return limits{perKey, perKey}
	case settings[i-1].until.IsZero():
		return limits{&settings[i-1].limit, &settings[i-1].limit}
	case !d.GrantedAt.Before(settings[i-1].until):
		return limits{perKey, perKey}
	case d.Generation > 0:
		return rangeOf(&settings[i-1].limit, perKey)
	default:
		return limits{&settings[i-1].limit, &settings[i-1].limit}
	}
}

// rangeOf returns the range of two limits.
func rangeOf(a, b *int) limits {
	if a == nil || b != nil && *b < *a {
		a, b = b, a
	}
	return limits{a, b}
}

// hasChanges reports whether the log has the changes that had been made before a decision. A change that is not recorded yet is not in
// the log. Neither is a change that was lost with its generation: the log then has a later change under its number, or none.
func (c *check) hasChanges(d *decision) bool {
	if d.Changes == 0 {
		return true
	}
	i, found := slices.BinarySearchFunc(c.changes, d.Changes, func(change attune.QueueChange, n int64) int { return int(change.Number - n) })
	return found && !c.changes[i].At.After(d.GrantedAt)
}

// followsInLane reports whether the limit of a lane can be from at the time t if the latest change set it to before.
func followsInLane(from, before setting, t time.Time) bool {
	if from.manual {
		return from == before
	}
	return !before.manual || !before.until.IsZero() && !t.Before(before.until)
}

// checkLaneLimit returns the number of grants in the lane until the next change of its limit.
func (c *check) checkLaneLimit(change attune.QueueChange, next *attune.QueueChange) (granted int) {
	for _, grant := range c.decidedBetween(change, next, false) {
		if grant.Lane == change.Lane {
			granted++
		}
	}
	return granted
}
