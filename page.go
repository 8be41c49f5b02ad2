package attune

// Page asks for one page of a list, newest first.
type Page struct {
	Before int64 // only ids below this id; 0 starts with the newest
	Limit  int   // 1 to [MaxPageLimit]; 0 means [DefaultPageLimit]
}

// Bounds of a page.
const (
	DefaultPageLimit = 50
	MaxPageLimit     = 500
)

// Normalize returns the page with the default in place of a limit below 1, and at most [MaxPageLimit].
func (p Page) Normalize() Page {
	switch {
	case p.Limit <= 0:
		p.Limit = DefaultPageLimit
	case p.Limit > MaxPageLimit:
		p.Limit = MaxPageLimit
	}
	return p
}

// EventFilter narrows a list of events. A zero field does not filter.
type EventFilter struct {
	Trigger Ref
	Source  Source
}

// EnforcementFilter narrows a list of enforcements. A zero field does not filter.
type EnforcementFilter struct {
	Event  EventID
	Rule   Ref
	Action Ref
	Queue  QueueKey
	Status EnforcementStatus
	Reason Reason
}

// ExecutionFilter narrows a list of executions. A zero field does not filter.
type ExecutionFilter struct {
	Enforcement EnforcementID
	Action      Ref
	Queue       QueueKey
	Status      ExecutionStatus
	Worker      string
}
