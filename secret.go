package attune

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a secret.
const (
	// MinSecretBytes is the least length of a secret's value, in bytes. A shorter value would be found everywhere in an action's
	// output, so the worker could not mask it.
	MinSecretBytes = 4
	// MaxSecretBytes is the largest value of a secret, in bytes. Linux accepts at most 128 KiB for one environment variable.
	MaxSecretBytes = 32 << 10
	// MaxSecretName is the longest name of a secret, in bytes.
	MaxSecretName = 100
	// MaxGrants is how many packs a secret can be granted to.
	MaxGrants = 100
)

// SecretMask stands in the place of a secret value wherever attune shows or stores the document around the value.
const SecretMask = "***"

// Secret describes a secret. The value travels only in the reply to a claim.
type Secret struct {
	ID       int64     `json:"id"`       // rises with the time of creation
	Name     string    `json:"name"`     // the environment variable in which an action gets the value
	Packs    []string  `json:"packs"`    // whose actions may ask for the secret, sorted
	Key      string    `json:"key_id"`   // id of the key that encrypts the value
	Revision int64     `json:"revision"` // from 1; rises with every change
	Author             // of the last change
	At       time.Time `json:"updated_at"`
}

// EncryptedSecret is a secret with its encrypted value.
type EncryptedSecret struct {
	Secret
	Encrypted string // see package secrets
}

// secretName is the form of an environment variable.
var secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// CheckSecretName returns a [CodeInvalid] error for a name that is no environment variable, is longer than [MaxSecretName],
// begins with [ReservedEnv], or is one of [CommonEnv]: no action can ask for it.
func CheckSecretName(name string) error {
	switch {
	case len(name) > MaxSecretName:
		return Errorf(CodeInvalid, "secret: a name of %d bytes is too long: use %d or less", len(name), MaxSecretName)
	case !secretName.MatchString(name):
		return Errorf(CodeInvalid, "secret: %s is not the name of an environment variable: use letters, digits and '_'", quotePrefix(name))
	case strings.HasPrefix(name, ReservedEnv):
		return Errorf(CodeInvalid, "secret: %q is reserved: names that begin with %s belong to attune", name, ReservedEnv)
	case slices.Contains(CommonEnv(), name):
		return Errorf(CodeInvalid, "secret: every action has the variable %s already, so none can ask for a secret of this name", name)
	default:
		return nil
	}
}

// CheckSecretValue returns a [CodeInvalid] error for a value that no environment variable can hold, and for one that is too short
// or too long. The error never quotes the value.
func CheckSecretValue(value string) error {
	switch {
	case len(value) < MinSecretBytes:
		return Errorf(CodeInvalid, "secret: a value of %d bytes is too short to be masked in output: use %d or more",
			len(value), MinSecretBytes)
	case len(value) > MaxSecretBytes:
		return Errorf(CodeInvalid, "secret: a value of %d bytes is too long: use %d or less", len(value), MaxSecretBytes)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return Errorf(CodeInvalid, "secret: the value is not text without NUL characters: encode it first, for example in base64")
	default:
		return nil
	}
}

// SecretField is one secret part of a JSON document, taken out of the document. It exists only in memory.
type SecretField struct {
	Pointer string          `json:"pointer"` // JSON pointer (RFC 6901) into the document
	Value   json.RawMessage `json:"value"`
}

// String keeps the value out of prints and logs.
func (f SecretField) String() string { return f.Pointer + "=" + SecretMask }

// GoString keeps the value out of prints with %#v.
func (f SecretField) GoString() string { return f.String() }
