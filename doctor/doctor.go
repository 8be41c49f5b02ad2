// Package doctor checks attune and its services, and says what to do about each finding.
//
// Authority: none. The package reads from the database, the broker and Temporal, compares with the thresholds in its constants,
// and changes nothing.
//
// Guarantees: every check returns at least one finding, also when all is well. A check that fails, panics or takes longer than
// 5 s becomes a finding and does not delay the others. The checks run concurrently, so an examination takes at most 5 s.
//
// Failures: an examination cannot fail. A diagnosis without problems does not prove that queues keep their promises: package
// proof checks that.
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
	OK      Severity = "ok"      // works
	Note    Severity = "note"    // works; a person has changed a default, or a worker is away
	Warning Severity = "warning" // works, but may fail soon
	Problem Severity = "problem" // does not work
)

// rank orders severities, the worst first.
func (s Severity) rank() int { return slices.Index([]Severity{Problem, Warning, Note, OK}, s) }

// Finding is one result of a check.
type Finding struct {
	Check    string   `json:"check" doc:"Name of the check"`
	Severity Severity `json:"severity" enum:"ok,note,warning,problem"`
	Where    string   `json:"where,omitempty" doc:"The queue, execution or task queue that the finding is about"`
	What     string   `json:"what" doc:"What the check found, for a person"`
	Do       string   `json:"do,omitempty" doc:"What to do about it"`
}

// Diagnosis is the result of an examination.
type Diagnosis struct {
	At       time.Time `json:"at"`
	Version  string    `json:"version" doc:"Version of attune"`
	Verdict  Severity  `json:"verdict" enum:"ok,note,warning,problem" doc:"The worst severity of the findings"`
	Findings []Finding `json:"findings" doc:"All findings, the worst first"`
}

// Count returns the number of findings with a severity.
func (d Diagnosis) Count(severity Severity) int {
	n := 0
	for _, finding := range d.Findings {
		if finding.Severity == severity {
			n++
		}
	}
	return n
}

// Diagnose makes a diagnosis: it sorts the findings, the worst first, and sets the verdict.
func Diagnose(at time.Time, version string, findings []Finding) Diagnosis {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	d := Diagnosis{At: at, Version: version, Verdict: OK, Findings: findings}
	if len(findings) > 0 {
		d.Verdict = findings[0].Severity
	}
	return d
}

// Check is one check. Run returns findings without [Finding.Check]: the doctor sets the name.
type Check struct {
	Name string
	Run  func(context.Context) ([]Finding, error)
}

// checkTimeout is how long one check may take.
const checkTimeout = 5 * time.Second

// Doctor runs checks. It does not change after [New], and is safe for concurrent use.
type Doctor struct {
	version string
	timeout time.Duration // of each check
	checks  []Check
}

// New returns a doctor for a version of attune. Each check may take up to 5 s.
func New(version string, checks ...Check) *Doctor {
	return &Doctor{version: version, timeout: checkTimeout, checks: checks}
}

// Examine runs all checks concurrently.
func (d *Doctor) Examine(ctx context.Context) Diagnosis {
	results := make(chan result, len(d.checks)) // buffered: a late check must not block
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
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
			found[i] = uncheckable(fmt.Errorf("no answer within %s", d.timeout))
		}
		for _, finding := range found[i] {
			finding.Check = check.Name
			all = append(all, finding)
		}
	}
	return Diagnose(time.Now().UTC().Truncate(time.Millisecond), d.version, all)
}

// next waits for a result until ctx ends. It prefers a result that has arrived to the end of ctx.
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

// result holds the findings of the check with an index.
type result struct {
	check    int
	findings []Finding
}

// run runs the check. An error, a panic or an empty result becomes a finding; after a timeout, run returns nil.
func (c Check) run(ctx context.Context) (findings []Finding) {
	defer func() {
		if cause := recover(); cause != nil {
			findings = uncheckable(fmt.Errorf("the check panicked: %v", cause))
		}
	}()
	findings, err := c.Run(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil // Examine adds the finding
	case err != nil:
		return uncheckable(err)
	case len(findings) == 0:
		return uncheckable(errors.New("the check returned no finding"))
	}
	return findings
}

// uncheckable returns the finding of a check that failed.
func uncheckable(err error) []Finding {
	return []Finding{{
		Severity: Problem, What: "This could not be checked: " + reason(err) + ".",
		Do: "Check that the service answers (GET /readyz), and read the log of the API process.",
	}}
}

// reason returns the message of an [attune.Error], which is written for callers, or else the text of the error.
func reason(err error) string {
	if coded, ok := errors.AsType[*attune.Error](err); ok {
		return strings.TrimSuffix(coded.Message, ".")
	}
	return strings.TrimSuffix(strings.ToValidUTF8(err.Error(), "\uFFFD"), ".")
}

// maxListed is how many findings of one kind a check lists: one cause can have many.
const maxListed = 20

// listed makes a finding of each element, up to [maxListed], and counts the rest in one more finding. Without elements, it returns
// one OK finding with the text okText.
func listed[T any](found []T, okText string, finding func(T) Finding) []Finding {
	if len(found) == 0 {
		return []Finding{{Severity: OK, What: okText}}
	}
	var findings []Finding
	worst := OK
	for i, element := range found {
		f := finding(element)
		if f.Severity.rank() < worst.rank() {
			worst = f.Severity
		}
		if i < maxListed {
			findings = append(findings, f)
		}
	}
	if more := len(found) - maxListed; more > 0 {
		findings = append(findings, Finding{Severity: worst, What: fmt.Sprintf("And %d more like these.", more)})
	}
	return findings
}
