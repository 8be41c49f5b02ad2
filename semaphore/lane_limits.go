package semaphore

import (
	"cmp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// byPolicy is the text of a change for the limit of a lane without a manual limit. The limit of the policy depends on the action of
// the first ticket in the lane.
const byPolicy = "by policy"

// LaneLimits returns a copy of the manual limits of lanes, in the order of the lanes.
func (s *State) LaneLimits() []attune.LaneLimit { return slices.Clone(s.laneLimits) }

// useLaneLimits puts the manual limits of lanes into force.
func (s *State) useLaneLimits(limits []attune.LaneLimit) {
	s.laneLimits = slices.Clone(limits)
	for _, limit := range limits {
		s.line.setManual(limit.Lane, &limit.Limit)
	}
}

// placeOfLane returns the index of a lane's manual limit, or where it belongs.
func (s *State) placeOfLane(lane int32) (index int, found bool) {
	return slices.BinarySearchFunc(s.laneLimits, lane, func(l attune.LaneLimit, lane int32) int { return cmp.Compare(l.Lane, lane) })
}

// laneOverride returns the manual limit of a lane, or nil.
func (s *State) laneOverride(lane int32) *attune.LimitOverride {
	if i, found := s.placeOfLane(lane); found {
		return new(s.laneLimits[i].LimitOverride)
	}
	return nil
}

// setLaneLimit sets or clears the manual limit of a lane. A queue does not know which lanes it has: a limit of a lane without tickets
// waits for them.
func (s *State) setLaneLimit(change *attune.QueueChange, lane int32, override *attune.LimitOverride) error {
	override, err := untilSeconds(change, override)
	if err != nil {
		return err
	}
	change.Lane, change.From, change.To = lane, laneText(s.laneOverride(lane)), laneText(override)
	i, found := s.placeOfLane(lane)
	switch {
	case change.From == change.To && override == nil:
		return attune.Errorf(attune.CodeConflict, "lane %d has no manual limit", lane)
	case change.From == change.To:
		return attune.Errorf(attune.CodeConflict, "the limit of lane %d is already %s", lane, change.To)
	case override == nil:
		s.laneLimits = slices.Delete(s.laneLimits, i, i+1)
		s.line.setManual(lane, nil)
		return nil
	case found:
		s.laneLimits[i].LimitOverride = *override
	case len(s.laneLimits) >= attune.MaxLaneLimits:
		return attune.Errorf(attune.CodeConflict, "%d lanes have a manual limit, and a queue allows no more: clear one", len(s.laneLimits))
	default:
		s.laneLimits = slices.Insert(s.laneLimits, i, attune.LaneLimit{Lane: lane, LimitOverride: *override})
	}
	s.line.setManual(lane, &override.Limit)
	return nil
}

func laneText(override *attune.LimitOverride) string {
	if override == nil {
		return byPolicy
	}
	return override.String()
}

// endLaneLimits ends the manual limits of lanes that have expired.
func (s *State) endLaneLimits(now time.Time) {
	s.laneLimits = slices.DeleteFunc(s.laneLimits, func(l attune.LaneLimit) bool {
		expired := !l.Until.IsZero() && !l.Until.After(now)
		if expired {
			s.line.setManual(l.Lane, nil)
		}
		return expired
	})
}

// setManual sets the manual limit of a lane; nil clears the limit.
func (q *line) setManual(number int32, limit *int) {
	if limit == nil {
		delete(q.levels.manual, number)
	} else {
		q.levels.manual[number] = *limit
	}
	if l := q.levels.lanes[number]; l != nil {
		q.replace(l)
	}
}
