package attune

import (
	"encoding/json"
	"time"
)

// Pack is everything one folder declares, validated as a whole. Loading a pack replaces what an earlier version of it
// declared: what is no longer there is disabled, never deleted, because enforcements refer to it.
type Pack struct {
	Name        string
	Version     string
	Description string
	Dir         string // where the action's executables are; known to the process that loaded the pack
	Digest      string // SHA-256 over the declarations: the same digest is the same pack
	Triggers    []Trigger
	Actions     []Action
	Rules       []Rule
	Policy      *Policy // the pack's own policy; nil if it has none
}

// Action is something a worker can run.
type Action struct {
	ID          ActionID `json:"id"`
	Ref         Ref      `json:"ref"`
	Description string   `json:"description,omitempty"`
	Enabled     bool     `json:"enabled"`
	// Command is the argv. argv[0] without a slash is looked up on PATH, with one it is relative to the pack's folder.
	Command []string        `json:"command"`
	Env     []string        `json:"env,omitempty"`    // names of the worker's environment variables that the process may see
	Schema  json.RawMessage `json:"schema,omitempty"` // JSON Schema of the parameters; empty accepts any object
	Timeout time.Duration   `json:"timeout"`          // wall time of one attempt; more than zero
	Pool    string          `json:"pool"`             // the workers that may run it
	Policy  *Policy         `json:"policy,omitempty"` // the action's own policy; nil if it has none
}

// ReservedEnv begins the names of variables that are attune's own: its settings and secrets, and what it tells an action.
// No action is given another one of that name.
const ReservedEnv = "ATTUNE_"

// Defaults of an action that does not say otherwise.
const (
	DefaultActionTimeout = 10 * time.Minute
	DefaultPool          = "default"
)
