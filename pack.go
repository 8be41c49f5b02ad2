package attune

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
)

// Pack is the content of one pack folder, validated as a whole. Loading a pack replaces the declarations of its earlier
// version. A declaration that the new version lacks is disabled and never deleted, because enforcements refer to it.
type Pack struct {
	Name        string
	Version     string
	Description string
	Dir         string // folder with the executables of the actions, on the host of the process that loaded the pack
	Digest      string // SHA-256 of the declarations: equal digests mean equal packs
	Triggers    []Trigger
	Actions     []Action
	Rules       []Rule
	Queues      []SharedQueue
	Policy      *Policy // the pack's own policy; nil if it has none

	// Joins are the places where the policies of the pack name shared queues, for messages. They do not count for the digest.
	Joins []Join
}

// SharedQueue is a queue that a pack declares, and that actions of any pack join by its reference. The key of the queue is the
// reference.
type SharedQueue struct {
	Ref         Ref
	Description string
	Policy      *Policy // the queue's own policy; nil if it has none
}

// Join is a place where the policy of a pack or of an action names a shared queue.
type Join struct {
	Queue QueueKey
	Place string // "file:line:column"
}

// Action is something a worker can run.
type Action struct {
	ID          ActionID `json:"id"`
	Ref         Ref      `json:"ref"`
	Description string   `json:"description,omitempty"`
	Enabled     bool     `json:"enabled"`
	// Command is the argv. The worker looks an argv[0] without a slash up on PATH. An argv[0] with a slash is relative to the
	// pack's folder.
	Command []string        `json:"command"`
	Env     []string        `json:"env,omitempty"`     // names of the worker's environment variables that the process gets
	Secrets []string        `json:"secrets,omitempty"` // names of the secrets that the process gets as environment variables
	Schema  json.RawMessage `json:"schema,omitempty"`  // JSON Schema of the parameters; empty accepts any object
	Timeout time.Duration   `json:"timeout"`           // wall time of one attempt; more than zero
	Pool    string          `json:"pool"`              // name of the worker pool that runs the action
	Limits  Limits          `json:"limits,omitzero"`   // what all processes of one attempt may use
	Policy  *Policy         `json:"policy,omitempty"`  // the action's own policy; nil if it has none

	// Key is the key of the policy in force, for a direct run of the action, and Gates are its rates and quotas: see [Candidate]. A
	// pack does not set them.
	Key   *string `json:"-"`
	Gates []Gate  `json:"-"`
	// Queue is the shared queue of the policy in force. It is empty if the action uses the queue that it owns. A pack does not set it.
	Queue QueueKey `json:"-"`
}

// Limits bounds what all processes of one attempt may use together. A zero field is no bound.
type Limits struct {
	Memory    Size `json:"memory,omitzero"`     // memory, without swap: see [MinMemoryLimit]
	Processes int  `json:"processes,omitempty"` // processes and threads; from 1 to [MaxProcessesLimit]
}

// Bounds of [Limits]. A process with less memory cannot start.
const (
	MinMemoryLimit    = Size(1 << 20)
	MaxProcessesLimit = 1_000_000
)

// Digest returns the SHA-256 of what a worker uses of the action, in hexadecimal. A worker and the database agree about an action
// if their digests are equal; its description, schema and policy may differ.
func (a Action) Digest() string {
	used := fmt.Sprintf("%q %q %q %q %d %q %d %d", // quoted, so unambiguous
		a.Ref, a.Command, a.Env, a.Secrets, a.Timeout, a.Pool, a.Limits.Memory, a.Limits.Processes)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(used)))
}

// ReservedEnv is the prefix of attune's own environment variables: its settings, its secrets, and the variables that it sets
// for an action. No action can name a variable with this prefix in Env.
const ReservedEnv = "ATTUNE_"

// Defaults of an action.
const (
	DefaultActionTimeout = 10 * time.Minute
	DefaultPool          = "default"
)
