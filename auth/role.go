package auth

import (
	"slices"
	"strings"

	"github.com/attune-go/attune"
)

// Role says what a caller may do. The empty role has no right except [RightIdentity].
type Role string

// The roles.
const (
	RoleViewer   Role = "viewer"   // reads everything except tokens, secrets and the audit log
	RoleOperator Role = "operator" // viewer, and sends events, runs actions, changes queues, rules, enforcements and executions
	RoleAdmin    Role = "admin"    // operator, and everything else
	RoleWorker   Role = "worker"   // reads who it is; workers use the broker, and no route is for them alone
	RoleEvent    Role = "event"    // sends events of the triggers that its token names
)

// Roles lists every role.
func Roles() []Role { return []Role{RoleViewer, RoleOperator, RoleAdmin, RoleWorker, RoleEvent} }

// Validate returns an [attune.CodeInvalid] error for a text that is not a role.
func (r Role) Validate() error {
	if slices.Contains(Roles(), r) {
		return nil
	}
	return attune.Errorf(attune.CodeInvalid, "%q is not a role: use %s", attune.Shorten(string(r), maxQuoted), list(Roles()))
}

// maxQuoted is how many bytes of a wrong value a message repeats.
const maxQuoted = 40

// Has reports whether a role has a right.
func (r Role) Has(right Right) bool { return slices.Contains(r.rights(), right) }

func (r Role) rights() []Right {
	switch r {
	case RoleAdmin:
		return Rights()
	case RoleOperator:
		return []Right{RightIdentity, RightRead, RightSendEvents, RightRun, RightOperate}
	case RoleViewer:
		return []Right{RightIdentity, RightRead}
	case RoleEvent:
		return []Right{RightIdentity, RightSendEvents}
	case RoleWorker:
		return []Right{RightIdentity}
	default:
		return []Right{RightIdentity}
	}
}

// Right is what a route of the API asks of its caller.
type Right string

// The rights.
const (
	RightIdentity   Right = "identity"    // learn who the caller is; every authenticated caller has it
	RightRead       Right = "read"        // read events, queues, actions, rules, enforcements, executions, the diagnosis
	RightSendEvents Right = "send_events" // record events; [Caller.MaySend] says of which triggers
	RightRun        Right = "run"         // run actions without a rule
	RightOperate    Right = "operate"     // change queues, policies, rules, enforcements and executions
	RightAdminister Right = "administer"  // tokens, secrets, and the audit log
)

// Rights lists every right.
func Rights() []Right {
	return []Right{RightIdentity, RightRead, RightSendEvents, RightRun, RightOperate, RightAdminister}
}

// Roles lists the roles that have a right. It is empty for a text that is no right.
func (r Right) Roles() []Role {
	return slices.DeleteFunc(Roles(), func(role Role) bool { return !role.Has(r) })
}

// Needs names the roles that have a right, for a message: "operator or admin".
func (r Right) Needs() string { return list(r.Roles()) }

// list joins roles for a message: "viewer, operator or admin".
func list(roles []Role) string {
	var names []string
	for _, role := range roles {
		names = append(names, string(role))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
