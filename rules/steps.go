package rules

import (
	"fmt"

	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/attune-go/attune"
)

// Bounds of an evaluation. They are checked before the work is done: see [price].
const (
	// maxSteps bounds the steps of one rule for one event: of its criteria, its templates and its key together. A step is one
	// operation, one visited or new element of a list or map, or bytesPerStep bytes of text that are read or made. A step takes
	// about ten nanoseconds, so a rule takes a fraction of a second at most.
	maxSteps = 1_000_000
	// bytesPerStep is the number of bytes of text that count as one step.
	bytesPerStep = 10
	// maxTextBytes bounds every text and every bytes value that an expression makes: twice the largest payload.
	maxTextBytes = 2 * attune.MaxPayloadBytes
	// maxPatternBytes bounds the text of a regular expression, and maxInstructions its compiled program. The text "x{1000}" is
	// short and compiles to a thousand instructions.
	maxPatternBytes = 10_000
	maxInstructions = 10_000
	// maxPrecision bounds the digits behind the point that format writes.
	maxPrecision = 100
)

// meter counts the steps of one rule, and ends the evaluation at a limit. CEL's interpreter counts attributes and literals on the
// same tracker. The nodes of this package count everything else, before they do it. A meter belongs to one goroutine.
type meter struct {
	tracker *cost.Tracker
	subject string // what takes the steps, for messages: "rule"
	limit   uint64
	next    *uint64 // steps that take passes to CallCost through the tracker; nil otherwise
}

// newMeter returns a meter with a limit of steps.
func newMeter(subject string, limit uint64) (*meter, error) {
	m := &meter{subject: subject, limit: limit}
	tracker, err := cost.NewTracker(m, cost.TrackerLimit(limit), cost.TrackerLimitExceededHandler(m.end))
	if err != nil {
		return nil, fmt.Errorf("create a step counter: %w", err)
	}
	m.tracker = tracker
	return m, nil
}

// end ends the evaluation: CEL's interpreter recovers the panic and returns it as an error.
func (m *meter) end() {
	panic(interpreter.EvalCancelledError{
		Message: fmt.Sprintf("the %s needs more than %d steps for this event", m.subject, m.limit),
		Cause:   interpreter.CostLimitExceeded,
	})
}

// CallCost implements [cost.ActualCostEstimator].
func (m *meter) CallCost(string, string, []ref.Val, ref.Val) *uint64 {
	price := m.next
	m.next = nil
	return price
}

// take counts steps. It ends the evaluation when the count exceeds the limit.
func (m *meter) take(steps uint64) {
	m.next = &steps
	m.tracker.EvalZeroArity(nil, 0, charge{}, nil)
}

// left returns the number of remaining steps plus 1. A measurement that reaches this number exceeds the limit.
func (m *meter) left() uint64 { return m.limit - min(m.limit, m.tracker.ActualCost()) + 1 }

// meterOf returns the meter of an evaluation.
func meterOf(frame *interpreter.ExecutionFrame) *meter {
	if tracker := frame.CostTracker(); tracker != nil {
		if m, ok := tracker.Estimator.(*meter); ok {
			return m
		}
	}
	panic(interpreter.EvalCancelledError{Message: "an expression is evaluated without a limit"})
}

// charge is the call that take reports to the tracker.
type charge struct{}

// Function implements [cost.Call].
func (charge) Function() string { return "charge" }

// OverloadID implements [cost.Call].
func (charge) OverloadID() string { return "charge" }
