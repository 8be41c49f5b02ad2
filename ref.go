package attune

import (
	"regexp"
	"strings"
)

// Ref names a trigger, action or rule as "<pack>.<name>", for example "demo.push".
//
// Pack and name each start with a lower-case letter and continue with lower-case letters, digits, '_' or '-'. The name may
// contain dots ("core.timer.interval"). A Ref is at most 200 bytes long.
type Ref string

// maxRefLength keeps workflow ids ("queue/<key>"), routing keys (255 bytes in AMQP 0-9-1) and index keys within their limits.
const maxRefLength = 200

var (
	refPattern  = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$`)
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)
)

// NewRef joins a pack and a name. It does not validate them: see [Ref.Validate].
func NewRef(pack, name string) Ref { return Ref(pack + "." + name) }

// Validate returns a [CodeInvalid] error unless r has the form "<pack>.<name>" and at most 200 bytes.
func (r Ref) Validate() error {
	if len(r) > maxRefLength {
		return Errorf(CodeInvalid, "reference %q is longer than %d bytes", Shorten(string(r), maxQuoted), maxRefLength)
	}
	if !refPattern.MatchString(string(r)) {
		return Errorf(CodeInvalid, "reference %q is not of the form \"pack.name\" (lower-case letters, digits, '_', '-')", string(r))
	}
	return nil
}

// Pack is the part before the first dot.
func (r Ref) Pack() string {
	pack, _, _ := strings.Cut(string(r), ".")
	return pack
}

// Name is the part after the first dot.
func (r Ref) Name() string {
	_, name, _ := strings.Cut(string(r), ".")
	return name
}

// ValidateName returns a [CodeInvalid] error unless s is a valid name of a pack, which is also a valid part of a [Ref] between
// two dots. The error message begins with what: the kind of name, for example "pack".
func ValidateName(what, s string) error {
	if len(s) > maxRefLength/2 || !namePattern.MatchString(s) {
		return Errorf(CodeInvalid, "%s name %q: use lower-case letters, digits, '_' or '-', starting with a letter",
			what, Shorten(s, maxQuoted))
	}
	return nil
}

// QueueKey names a queue. The default queue of an action has the action's reference as its key.
type QueueKey string

// Validate returns a [CodeInvalid] error unless k has 1 to 400 bytes that [CheckText] accepts. Such a key fits into a workflow
// id and a URL path segment.
func (k QueueKey) Validate() error {
	if k == "" || len(k) > 2*maxRefLength {
		return Errorf(CodeInvalid, "queue key of %d bytes: use 1 to %d", len(k), 2*maxRefLength)
	}
	return CheckText("queue key", string(k), 2*maxRefLength)
}
