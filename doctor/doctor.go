// Package doctor looks at everything that an operator would check, and says what to do about what it finds.
//
// Authority: none. It reads what the database, the broker and the engine say, judges it by thresholds that are stated here
// and nowhere else, and changes nothing.
//
// Guarantees: every check says something, also that all is well. A check that fails, panics or takes too long is a finding
// of its own, and keeps no other check from being made: an examination ends within the time of the slowest check.
//
// Failures: an examination has none. What the checks cannot see stays unsaid: that they find nothing is no proof that all
// is well. Package proof checks what queues promise.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Severity says how much a finding matters.
type Severity string

// The severities, from the least.
const (
	OK      Severity = "ok"      // as it should be
	Note    Severity = "note"    // as a person wants it; good to know
	Warning Severity = "warning" // works, and may stop to
	Problem Severity = "problem" // does not work
)

// rank orders severities, the worst first.
func (s Severity) rank() int { return slices.Index([]Severity{Problem, Warning, Note, OK}, s) }

// Finding is one thing that a check found.
type Finding struct {
	Check    string   `json:"check" doc:"Which check found it"`
	Severity Severity `json:"severity" enum:"ok,note,warning,problem"`
	Where    string   `json:"where,omitempty" doc:"The queue, execution or service that it is about"`
	What     string   `json:"what" doc:"What was found, in a sentence"`
	Do       string   `json:"do,omitempty" doc:"What to do about it"`
}

// Diagnosis is what an examination found, the worst first.
type Diagnosis struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version" doc:"Of attune"`
	Verdict  Severity  `json:"verdict" enum:"ok,note,warning,problem" doc:"The worst of the findings"`
	Findings []Finding `json:"findings" doc:"The worst first"`
}

// Count is how many findings have a severity.
func (d Diagnosis) Count(severity Severity) int {
	n := 0
	for _, finding := range d.Findings {
		if finding.Severity == severity {
			n++
		}
	}
	return n
}

// Diagnose sorts findings and gives the verdict.
func Diagnose(at time.Time, version string, findings []Finding) Diagnosis {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	d := Diagnosis{At: at, Version: version, Verdict: OK, Findings: findings}
	if len(findings) > 0 {
		d.Verdict = findings[0].Severity
	}
	return d
}

// Check looks at one thing. It fills in everything of its findings but [Finding.Check].
type Check struct {
	Name string
	Run  func(context.Context) ([]Finding, error)
}

// checkPatience is how long one check may take.
const checkPatience = 5 * time.Second

// Doctor makes examinations. It is safe for concurrent use.
type Doctor struct {
	version  string
	patience time.Duration
	checks   []Check
}

// New returns a doctor of an attune of this version. Each check may take up to 5 s.
func New(version string, checks ...Check) *Doctor {
	return &Doctor{version: version, patience: checkPatience, checks: checks}
}

// Examine makes all checks at once.
func (d *Doctor) Examine(ctx context.Context) Diagnosis {
	results := make(chan result, len(d.checks)) // a check that comes too late finds room
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	for i, check := range d.checks {
		go func() { results <- result{i, check.run(ctx)} }()
	}
	found := make([][]Finding, len(d.checks))
	for range d.checks {
		if r, ok := next(ctx, results); ok {
			found[r.check] = r.findings
		}
	}
	var all []Finding
	for i, check := range d.checks {
		if found[i] == nil {
			found[i] = cannot(fmt.Errorf("no answer within %s", d.patience))
		}
		for _, finding := range found[i] {
			finding.Check = check.Name
			all = append(all, finding)
		}
	}
	return Diagnose(time.Now().UTC().Truncate(time.Millisecond), d.version, all)
}

// next waits for a result, but not for a check that ignores the end of ctx.
func next(ctx context.Context, results <-chan result) (result, bool) {
	select {
	case r := <-results:
		return r, true
	default:
	}
	select {
	case r := <-results:
		return r, true
	case <-ctx.Done():
		return result{}, false
	}
}

// result is what the check of a number found.
type result struct {
	check    int
	findings []Finding
}

// run makes a finding of what goes wrong.
func (c Check) run(ctx context.Context) (findings []Finding) {
	defer func() {
		if cause := recover(); cause != nil {
			findings = cannot(fmt.Errorf("the check panicked: %v", cause))
		}
	}()
	findings, err := c.Run(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil // said above
	case err != nil:
		return cannot(err)
	case len(findings) == 0:
		return cannot(errors.New("the check says nothing"))
	}
	return findings
}

// cannot is the finding of a check that could not be made.
func cannot(err error) []Finding {
	return []Finding{{
		Severity: Problem, What: "This could not be checked: " + reason(err) + ".",
		Do: "See that the service answers (GET /readyz); the log of the API's process says more.",
	}}
}

// reason prefers the message that was written to be shown.
func reason(err error) string {
	if coded, ok := errors.AsType[*attune.Error](err); ok {
		return strings.TrimSuffix(coded.Message, ".")
	}
	return strings.TrimSuffix(strings.ToValidUTF8(err.Error(), "\uFFFD"), ".")
}

// most is how many findings of one kind a check lists: one cause tends to have many.
const most = 20

// listed makes a finding of each element, up to [most]. Without elements, the only finding says that all is well.
func listed[T any](found []T, well string, say func(T) Finding) []Finding {
	if len(found) == 0 {
		return []Finding{{Severity: OK, What: well}}
	}
	var findings []Finding
	worst := OK
	for i, each := range found {
		finding := say(each)
		if finding.Severity.rank() < worst.rank() {
			worst = finding.Severity
		}
		if i < most {
			findings = append(findings, finding)
		}
	}
	if more := len(found) - most; more > 0 {
		findings = append(findings, Finding{Severity: worst, What: fmt.Sprintf("And %d more like these.", more)})
	}
	return findings
}
