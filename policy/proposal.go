package policy

import "github.com/attune-go/attune"

// Proposal compares the policy in force for a queue with the one that other documents would resolve to.
type Proposal struct {
	Current, Proposed Effective
	Resolved          attune.QueuePolicy // the proposed policy as the queue would be told
	Actions           []ProposedAction   // of the queue
}

// ProposedAction is what a proposal says of one action in its queue.
type ProposedAction struct {
	Action            attune.ActionID
	Ref               attune.Ref
	Current, Proposed Effective
}
