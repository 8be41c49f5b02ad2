package auth

import (
	"encoding/json"
	"time"

	"github.com/attune-go/attune"
)

// AuditID identifies an entry of the audit log. Later entries have higher ids.
type AuditID int64

// AuditEntry is one request that asked for a change.
type AuditEntry struct {
	ID         AuditID           `json:"id"`
	At         time.Time         `json:"at" doc:"When the request was recorded, before the change was made"`
	Principal  *attune.Principal `json:"principal,omitempty" doc:"Absent for a request without a valid token"`
	Role       Role              `json:"role,omitempty" doc:"Role of the principal at this time"`
	Token      string            `json:"token,omitempty" doc:"Prefix of the token; absent for the bootstrap token and for a JSON web token"`
	Action     string            `json:"action" example:"queue.pause" doc:"What the request asked for"`
	Subject    string            `json:"subject,omitempty" example:"demo.deploy" doc:"The resource that the request names"`
	OnBehalfOf string            `json:"on_behalf_of,omitempty" doc:"The person that the principal acted for"`
	Note       string            `json:"note,omitempty" doc:"Why the change was made"`
	Detail     json.RawMessage   `json:"detail,omitempty" doc:"Of a change of a policy: the requested document, or the one that ended"`
	RequestID  string            `json:"request_id" doc:"Id of the request in the server's log; empty for what attune does by itself"`
	Remote     string            `json:"remote" doc:"Address from which the request came; that of the last proxy, if there is one"`
	Status     int               `json:"status,omitempty" doc:"HTTP status of the response; absent until the outcome is known"`
	Omitted    int               `json:"omitted,omitempty" doc:"Denied requests of the principal before this one that have no entry"`
}

// Bounds of the texts of an [AuditEntry], in bytes. Longer texts are shortened.
const (
	MaxAuditSubject = 400
	MaxAuditRemote  = 100
)

// AuditFilter narrows a list of entries. A zero field does not filter.
type AuditFilter struct {
	Principal string // name
	Action    string
	Subject   string
}
