package attune

import "encoding/json"

// RecordedRun is what the database has of one enforcement for its key and its gates: to evaluate them again.
type RecordedRun struct {
	Enforcement      EnforcementID
	Event            Event           // with [SecretMask] in the places of secrets; that of a direct run has no payload
	PayloadSchema    json.RawMessage // of the trigger; empty accepts any object
	Action           ActionID
	Parameters       json.RawMessage // with [SecretMask] in the places of secrets
	ParametersSchema json.RawMessage // of the action; empty accepts any object
	Lane             int32           // number of the recorded lane; 0 without one, and for an enforcement that got no place
	LaneName         LaneName        // name of the recorded lane
}
