package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Rule is the name of one promise.
type Rule string

// The rules: see the documentation of the package.
const (
	RuleTickets Rule = "tickets"
	RuleOnce    Rule = "once"
	RuleOrder   Rule = "order"
	RulePassed  Rule = "passed"
	RuleLimit   Rule = "limit"
	RuleRates   Rule = "rates"
	RuleQuotas  Rule = "quotas"
	RuleLog     Rule = "log"
	RuleCounts  Rule = "counts"
	RuleChanges Rule = "changes"
)

// Rules returns every rule, in the order of reports.
func Rules() []Rule {
	return []Rule{RuleTickets, RuleOnce, RuleOrder, RulePassed, RuleLimit, RuleRates, RuleQuotas, RuleLog, RuleCounts, RuleChanges}
}

// Report is the result of a check.
type Report struct {
	Queue       attune.QueueKey `json:"queue"`
	Checked     Counts          `json:"checked"`
	Violations  []Violation     `json:"violations"`  // by rule, then sequence, then grant
	Transitions []Transition    `json:"transitions"` // the manual changes, by number
}

// Transition is a manual change with the number of grants until the next change of its kind. Until and Granted are empty for a
// cancel.
type Transition struct {
	attune.QueueChange
	Until   *time.Time `json:"until,omitempty"` // the time of the next change of the same kind; nil without one
	Granted int        `json:"granted"`         // logged grants decided until then
}

// Kept reports whether no violation was found.
func (r Report) Kept() bool { return len(r.Violations) == 0 }

// Counts are the numbers of checked rows and of special cases.
type Counts struct {
	Tickets  int `json:"tickets"`  // assigned places: one per enforcement, and one per return to the back
	Waiting  int `json:"waiting"`  // places of waiting enforcements
	Active   int `json:"active"`   // places of enforcements that hold a slot
	Executed int `json:"executed"` // places of executed enforcements
	Parked   int `json:"parked"`   // places of parked enforcements
	Retried  int `json:"retried"`  // former places: the enforcement has a later one
	Dropped  int `json:"dropped"`  // places that ended without a grant
	// Unaccepted counts enforcements that the queue has not accepted, or that were rejected before that.
	Unaccepted int `json:"unaccepted"`
	Grants     int `json:"grants"`   // entries of the log
	Released   int `json:"released"` // entries that gave their slot back
	Changes    int `json:"changes"`  // manual changes
	Starts     int `json:"starts"`   // recorded starts: only a queue with rates of starts records them
	// RateUnclear counts starts above a rate that may not have been in force for a whole window.
	RateUnclear int `json:"rate_unclear"`
	// MostActive is the highest number of slots that were provably held just after a grant, including the new one.
	MostActive int `json:"most_active"`
	// Lanes counts the lanes of the queue, without lane 0.
	Lanes int `json:"lanes"`
	// MostInLane is the highest number of slots that were provably held in one lane, as in MostActive. Lane 0 does
	// not count.
	MostInLane int `json:"most_in_lane"`
	// LimitUnknown counts grants with an unknown limit, once each: the grant is older than the log, so the limit of the queue is not
	// recorded, or the log lacks a manual change that had been made before the grant, which can have set the limit of its lane.
	LimitUnknown int `json:"limit_unknown"`
	// PolicyUnknown counts grants whose policy is not in the journal. They are checked against the limit of the queue only.
	PolicyUnknown int `json:"policy_unknown"`
	// Passed counts waiting tickets that a grant would have passed wrongly if they had waited then. Their grants or settlements
	// are not stored yet.
	Passed int `json:"passed"`
	// Generations counts the generations with grants in the log.
	Generations int `json:"generations"`
	// Fenced counts grants of earlier generations that were never acted upon.
	Fenced int `json:"fenced"`
	// Regranted counts grants of tickets behind which an earlier generation had already granted another ticket.
	Regranted int `json:"regranted"`
	// Reprieved counts, per generation, the overtaken tickets without a missing number that a later generation granted: the
	// generation had settled them and was lost before the settlements were stored.
	Reprieved int `json:"reprieved"`
	// Unclear counts grants of tickets that an earlier grant passed, if the rows do not show whether the queue knew that the
	// ticket was eligible.
	Unclear int `json:"unclear"`
	// Undecided counts grants that contradict the latest recorded manual change, if an unrecorded change can explain them.
	Undecided int `json:"undecided"`
}

// Violation is one broken promise.
type Violation struct {
	Rule     Rule   `json:"rule"`
	Sequence int64  `json:"sequence,omitempty"` // of the ticket; 0 for none
	Grant    int64  `json:"grant,omitempty"`    // the number of the grant; 0 for none
	Detail   string `json:"detail"`             // a description for people
}

func (v Violation) String() string {
	about := ""
	if v.Sequence > 0 {
		about = fmt.Sprintf(" sequence %d:", v.Sequence)
	}
	if v.Grant > 0 {
		about = strings.TrimSuffix(about, ":") + fmt.Sprintf(" grant %d:", v.Grant)
	}
	return fmt.Sprintf("%s:%s %s", v.Rule, about, v.Detail)
}

func sortViolations(violations []Violation) {
	rules := Rules()
	slices.SortStableFunc(violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(slices.Index(rules, a.Rule), slices.Index(rules, b.Rule)),
			cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.Grant, b.Grant))
	})
}
