package policy

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/attune-go/attune"
)

// Stored is a policy document in the database.
type Stored struct {
	ID        int64          `json:"-"` // a document that is removed and set again has another id
	Scope     Scope          `json:"scope" enum:"action,queue,pack,global"`
	Ref       string         `json:"ref,omitempty" doc:"Reference of the action, queue or pack; absent for the global scope"`
	Origin    Origin         `json:"origin" enum:"pack,person"`
	Policy    attune.Policy  `json:"policy"`
	Revision  int64          `json:"revision" doc:"Grows with every change of the document"`
	Author    *attune.Author `json:"author,omitempty" doc:"Who set the document, and why; absent for a document of a pack"`
	UpdatedAt time.Time      `json:"updated_at"`
	Until     *time.Time     `json:"until,omitempty" doc:"When the document ends; absent while it has no end"`
}

// Documents are the documents of one scope; nil for one that does not exist.
type Documents struct {
	Pack   *Stored `json:"pack,omitempty" doc:"What the pack declares; absent when it declares nothing"`
	Person *Stored `json:"person,omitempty" doc:"What a person has set, which wins field by field; absent when nothing is set"`
}

// Expressions returns a document with the expressions in force of the scope: its key, rates and quotas.
func (d Documents) Expressions() (document attune.Policy) {
	for _, stored := range []*Stored{d.Pack, d.Person} { // what a person sets wins
		if stored == nil {
			continue
		}
		p := stored.Policy
		if p.Key != nil {
			document.Key = p.Key
		}
		if p.Rate != nil {
			document.Rate = p.Rate
		}
		if p.Quota != nil {
			document.Quota = p.Quota
		}
	}
	return document
}

// Change replaces or removes the document that a person set for a scope.
type Change struct {
	Scope  Scope
	Ref    string // empty for the global scope
	Author attune.Author
	// Decide returns the new document, or nil to remove the document. It gets the documents at that instant and the time of the
	// database. Its error refuses the change.
	Decide func(found Documents, now time.Time) (*Draft, error)
}

// Empty reports whether a document sets no field.
func Empty(document attune.Policy) bool { return reflect.ValueOf(document).IsZero() }

// Draft is the new content of a person's document.
type Draft struct {
	Policy attune.Policy
	Until  *time.Time // nil: no end
}

// Reach counts the queues that have been used and that a document covers.
type Reach struct {
	Told    int64 `json:"told" required:"false" doc:"Queues that follow the change, or that it does not concern; absent if unknown"`
	NotTold int64 `json:"not_told" required:"false" doc:"Queues that will follow in a moment, without another request; absent if unknown"`
}

// KeyUse is an action whose key a document can set, with a trigger of one of its rules.
type KeyUse struct {
	Action     attune.Ref
	Parameters json.RawMessage // the schema of the action's parameters; nil: any
	Trigger    attune.Ref      // empty: no rule runs the action
	Payload    json.RawMessage // the schema of the trigger's payload; nil: any
}
