package auth

import (
	"slices"

	"github.com/attune-go/attune"
)

// Caller is an authenticated sender of a request.
type Caller struct {
	Principal attune.Principal
	Role      Role         // empty: a JSON web token whose claims name no role
	Token     string       // prefix of the token in the database; empty for the bootstrap token and for JSON web tokens
	Triggers  []attune.Ref // of [RoleEvent]: the triggers whose events the caller may send
}

// May reports whether the caller has a right.
func (c Caller) May(right Right) bool { return c.Role.Has(right) }

// MaySend reports whether the caller may send events of a trigger.
func (c Caller) MaySend(trigger attune.Ref) bool {
	return c.May(RightSendEvents) && (c.Role != RoleEvent || slices.Contains(c.Triggers, trigger))
}
