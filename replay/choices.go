package replay

import "github.com/attune-go/attune"

// Choices are what keys and gates choose for the enforcements of a history: lanes and charges. Equal names of lanes are one lane. A lane
// that the history has keeps its number, so that manual changes of its limit find it.
type Choices struct {
	byID    map[attune.EnforcementID]choice
	numbers map[attune.LaneName]int32
	last    int32 // no lane of the history has a higher number
}

// choice is what is chosen for one enforcement.
type choice struct {
	lane    attune.LaneName
	charges []attune.Charge
	refused attune.Reason // a key or a cost fails, so the enforcement never arrives
}

// NewChoices returns the choices of a history, without any yet.
func NewChoices(h History) *Choices {
	c := &Choices{byID: map[attune.EnforcementID]choice{}, numbers: map[attune.LaneName]int32{}}
	for _, place := range h.Places {
		c.last = max(c.last, place.Lane)
	}
	for _, change := range h.Changes {
		c.last = max(c.last, change.Lane)
	}
	return c
}

// Add adds what a decision chooses for a recorded enforcement.
func (c *Choices) Add(run attune.RecordedRun, decision attune.Decision) {
	chosen := choice{lane: decision.Lane, charges: decision.Charges}
	if decision.Status == attune.EnforcementRejected {
		chosen = choice{refused: decision.Reason}
	}
	c.byID[run.Enforcement] = chosen
	if run.Lane > 0 {
		c.numbers[run.LaneName], c.last = run.Lane, max(c.last, run.Lane)
	}
}

// Missing counts the enforcements of a history for which nothing is chosen.
func (c *Choices) Missing(h History) int {
	missing := map[attune.EnforcementID]bool{}
	for _, places := range [][]Place{h.Places, h.Refused} {
		for _, place := range places {
			if _, known := c.byID[place.Enforcement]; !known {
				missing[place.Enforcement] = true
			}
		}
	}
	return len(missing)
}

// lane returns the number of the lane of a place: the recorded one if nothing is chosen.
func (c *Choices) lane(place Place) int32 {
	chosen, known := c.byID[place.Enforcement]
	switch {
	case !known:
		return place.Lane
	case chosen.lane == "":
		return 0
	}
	number, known := c.numbers[chosen.lane]
	if !known {
		c.last++
		number = c.last
		c.numbers[chosen.lane] = number
	}
	return number
}
