package proof

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Rule names one promise.
type Rule string

// The rules. The package's documentation says what each of them holds.
const (
	RuleTickets Rule = "tickets"
	RuleOnce    Rule = "once"
	RuleOrder   Rule = "order"
	RuleLimit   Rule = "limit"
	RuleLog     Rule = "log"
	RuleCounts  Rule = "counts"
	RuleChanges Rule = "changes"
)

// Rules lists every rule, in the order in which a report has them.
func Rules() []Rule {
	return []Rule{RuleTickets, RuleOnce, RuleOrder, RuleLimit, RuleLog, RuleCounts, RuleChanges}
}

// Report is what was checked and what was found.
type Report struct {
	Queue       attune.QueueKey `json:"queue"`
	Checked     Counts          `json:"checked"`
	Violations  []Violation     `json:"violations"`  // by rule, then sequence, then grant
	Transitions []Transition    `json:"transitions"` // what people did to the queue, by number
}

// Transition is a change by hand, and what the queue granted while it was the latest of its kind. A cancel has no such time.
type Transition struct {
	attune.QueueChange
	Until   *time.Time `json:"until,omitempty"` // the next change of the same kind; nil: none yet
	Granted int        `json:"granted"`         // grants decided until then; the log has no others
}

// Kept reports whether no violation was found.
func (r Report) Kept() bool { return len(r.Violations) == 0 }

// Counts say how much was checked.
type Counts struct {
	Tickets  int `json:"tickets"`  // places that were given out: one for each enforcement, and one for each return to the back
	Waiting  int `json:"waiting"`  // of these: wait
	Active   int `json:"active"`   // hold a slot
	Executed int `json:"executed"` // ended after a grant
	Parked   int `json:"parked"`   // gave their slot back and wait for a person
	Retried  int `json:"retried"`  // gave their slot back, and their enforcement has a later place since
	Dropped  int `json:"dropped"`  // ended without a grant
	// Unaccepted counts enforcements for which the queue was chosen and that it has not accepted, or that were rejected before.
	Unaccepted int `json:"unaccepted"`
	Grants     int `json:"grants"`   // rows of the log
	Released   int `json:"released"` // of these: gave their slot back
	Changes    int `json:"changes"`  // made by hand
	// MostActive is the highest number of slots held just after a grant, the new one included, as the times prove it.
	MostActive int `json:"most_active"`
	// LimitUnknown counts grants that do not say which limit was in force: they are older than the log.
	LimitUnknown int `json:"limit_unknown"`
	// Passed counts waiting tickets behind a grant of a higher sequence. Their own grant or end is under way.
	Passed int `json:"passed"`
	// Generations counts the generations that have grants in the log.
	Generations int `json:"generations"`
	// Fenced counts grants that were decided by generations before the newest and never acted upon.
	Fenced int `json:"fenced"`
	// Regranted counts grants of tickets behind which an earlier generation had already granted another ticket.
	Regranted int `json:"regranted"`
	// Reprieved counts, generation by generation, the tickets that were overtaken though no number of theirs is missing, and
	// granted by a later generation: their end was decided, and lost with the generation that had decided it.
	Reprieved int `json:"reprieved"`
	// Undecided counts grants that contradict the latest recorded change by hand, where one that was not recorded may explain it.
	Undecided int `json:"undecided"`
}

// Violation is a promise that was not kept.
type Violation struct {
	Rule     Rule   `json:"rule"`
	Sequence int64  `json:"sequence,omitempty"` // the ticket it is about; 0 if it is about none
	Grant    int64  `json:"grant,omitempty"`    // the number of the grant it is about; 0 if it is about none
	Detail   string `json:"detail"`             // for a person
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
