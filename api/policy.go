package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// QueuePolicy is the policy in force, with the origin of every field. In JSON it is an object with the member revision and
// one member for each field.
type QueuePolicy struct {
	Revision int64         // grows with every change; 0 until the first enforcement is admitted to the queue
	Fields   []PolicyField // in the order of [policy.Fields]
}

// PolicyField is one field of a policy. Its values are JSON numbers or JSON strings.
type PolicyField struct {
	Name  string          `json:"-"`
	Value json.RawMessage `json:"value"`
	From  string          `json:"from"`
	// Source is the document behind From; nil for the default.
	Source *policy.Source  `json:"source,omitempty"`
	Next   json.RawMessage `json:"next,omitempty"` // the value that the documents set, if it is not the value in force
}

const (
	revisionMember = "revision"

	docRevision = "Grows with every change; 0 until the first enforcement is admitted to the queue"
	docValue    = "Value in force"
	docFrom     = "Origin of next, or of value without a next: action <ref>, queue <key> or pack <name>, followed by (set by a person) " +
		"if a person has set it; or global, or default"
	docNext = "New value from the documents, if it differs. The queue has not been told it yet"
)

// showPolicy shows what a queue obeys, beside what the documents of the policy say. For a shared queue, the fields that are not of the
// queue are what its actions get unless their own documents say otherwise.
func showPolicy(queue attune.QueueStats, told attune.QueuePolicy, effective policy.Effective) QueuePolicy {
	inForce := policy.InForce(queue.ActionID, told, effective.Policy.Key)
	inForce.Queue = effective.Policy.Queue
	if queue.Shared {
		inForce = policy.SharedInForce(told, effective.Policy)
	}
	return showFields(told.Revision, inForce, effective)
}

// showPolicyOf shows what an action obeys in its queue, beside what the documents of the policy say.
func showPolicyOf(action attune.ActionID, told attune.QueuePolicy, effective policy.Effective) QueuePolicy {
	inForce := policy.InForce(action, told, effective.Policy.Key)
	inForce.Queue = effective.Policy.Queue
	if limit := told.Of(action).Limit; limit != nil {
		inForce.Limit = *limit
	}
	return showFields(told.Revision, inForce, effective)
}

func showFields(revision int64, inForce attune.EffectivePolicy, effective policy.Effective) QueuePolicy {
	shown := QueuePolicy{Revision: revision}
	for _, field := range policy.Fields() {
		f := PolicyField{Name: field.Name, Value: field.JSON(inForce), From: effective.From[field.Name].String()}
		if source := effective.From[field.Name]; source.Scope != policy.ScopeDefault {
			f.Source = &source
		}
		if next := field.JSON(effective.Policy); !bytes.Equal(next, f.Value) {
			f.Next = next
		}
		shown.Fields = append(shown.Fields, f)
	}
	return shown
}

// origin returns the scope that decides a field; empty for an unknown field.
func (p QueuePolicy) origin(name string) string {
	for _, field := range p.Fields {
		if field.Name == name {
			return field.From
		}
	}
	return ""
}

// MarshalJSON writes the members in their order.
func (p QueuePolicy) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{%q:%d", revisionMember, p.Revision)
	for _, field := range p.Fields {
		encoded, err := json.Marshal(field)
		if err != nil {
			return nil, fmt.Errorf("encode the field %q: %w", field.Name, err)
		}
		fmt.Fprintf(&b, ",%q:%s", field.Name, encoded)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads the fields that this version knows. It ignores the fields of a newer server.
func (p *QueuePolicy) UnmarshalJSON(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	read := QueuePolicy{}
	if err := json.Unmarshal(members[revisionMember], &read.Revision); err != nil {
		return fmt.Errorf("revision of a policy: %w", err)
	}
	for _, field := range policy.Fields() {
		member, ok := members[field.Name]
		if !ok {
			continue
		}
		f := PolicyField{Name: field.Name}
		if err := json.Unmarshal(member, &f); err != nil {
			return fmt.Errorf("field %q of a policy: %w", field.Name, err)
		}
		read.Fields = append(read.Fields, f)
	}
	*p = read
	return nil
}

// Schema implements [huma.SchemaProvider].
func (QueuePolicy) Schema(registry huma.Registry) *huma.Schema {
	schema := objectSchema()
	schema.Properties[revisionMember] = described(&huma.Schema{Type: huma.TypeInteger, Format: "int64"}, docRevision)
	for _, field := range policy.Fields() {
		shown := objectSchema()
		shown.Description = field.Doc
		shown.Properties["value"] = described(valueSchema(registry, field), docValue)
		shown.Properties["from"] = described(&huma.Schema{Type: huma.TypeString}, docFrom)
		shown.Properties["next"] = described(valueSchema(registry, field), docNext)
		shown.Properties["source"] = huma.SchemaFromType(registry, reflect.TypeFor[policy.Source]())
		shown.Required = []string{"value", "from"}
		schema.Properties[field.Name] = shown
		schema.Required = append(schema.Required, field.Name)
	}
	schema.Required = append(schema.Required, revisionMember)
	return schema
}

// policyDocument is the schema of [attune.Policy] in the OpenAPI document.
type policyDocument struct{}

// Schema implements [huma.SchemaProvider].
func (policyDocument) Schema(registry huma.Registry) *huma.Schema {
	schema := objectSchema()
	schema.Properties["rate"] = described(&huma.Schema{
		Type: huma.TypeArray, Items: registry.Schema(reflect.TypeFor[attune.Rate](), true, ""),
	}, "Units in any window of time; the rates of all scopes apply")
	schema.Properties["quota"] = described(&huma.Schema{
		Type: huma.TypeArray, Items: registry.Schema(reflect.TypeFor[attune.Quota](), true, ""),
	}, "Units in a period of the calendar; the quotas of all scopes apply")
	for _, field := range policy.Fields() {
		doc := fmt.Sprintf("%s: %s. Default %s", field.Doc, field.Allowed, field.Default)
		schema.Properties[field.Name] = described(valueSchema(registry, field), doc)
	}
	return schema
}

// valueSchema describes the values that a field of a policy allows.
func valueSchema(registry huma.Registry, field policy.Field) *huma.Schema {
	switch field.Kind {
	case policy.Structure:
		return huma.SchemaFromType(registry, field.Type)
	case policy.Number:
		return &huma.Schema{Type: huma.TypeInteger, Minimum: bound(field.Bounds.Least), Maximum: bound(field.Bounds.Most)}
	case policy.Choice:
		return enum(field.Choices...)
	default:
		return &huma.Schema{Type: huma.TypeString}
	}
}

func bound(n *int) *float64 {
	if n == nil {
		return nil
	}
	return new(float64(*n))
}

func objectSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
}

func described(schema *huma.Schema, doc string) *huma.Schema {
	schema.Description = doc
	return schema
}
