package auth

import (
	"regexp"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// Bounds of a token.
const (
	MaxTokenName     = 100 // bytes
	MaxTokenTriggers = 100
	MinTokenLife     = time.Minute
	MaxTokenLife     = 10 * 365 * 24 * time.Hour
	// MaxKeepOld is the longest time that the earlier secret of a rotated token stays valid.
	MaxKeepOld = 30 * 24 * time.Hour
	// DefaultKeepOld is that time when a rotation names none: long enough to hand out the new secret.
	DefaultKeepOld = 10 * time.Minute
)

// TokenID identifies a token in the database.
type TokenID int64

// Token is a token in the database, without its secrets.
type Token struct {
	ID         TokenID           `json:"id"`
	Name       string            `json:"name"` // unique among the tokens that are not revoked
	Role       Role              `json:"role"`
	Triggers   []attune.Ref      `json:"triggers,omitempty" doc:"The triggers whose events the role event may send"`
	Secrets    []TokenSecret     `json:"secrets,omitempty" doc:"The secrets that are valid, newest first"`
	CreatedAt  time.Time         `json:"created_at"`
	CreatedBy  attune.Principal  `json:"created_by"`
	ExpiresAt  *time.Time        `json:"expires_at,omitempty" doc:"Absent for a token that does not expire"`
	LastUsedAt *time.Time        `json:"last_used_at,omitempty" doc:"Up to a minute too early; absent before the first use"`
	RevokedAt  *time.Time        `json:"revoked_at,omitempty"`
	RevokedBy  *attune.Principal `json:"revoked_by,omitempty"`
}

// TokenSecret is a secret of a token, without the secret itself.
type TokenSecret struct {
	Prefix     string     `json:"prefix" doc:"The part of the token by which people recognise it"`
	CreatedAt  time.Time  `json:"created_at"`
	ValidUntil *time.Time `json:"valid_until,omitempty" doc:"Present after a rotation: when the earlier secret ends"`
}

// TokenRequest asks for a new token.
type TokenRequest struct {
	Name     string
	Role     Role
	Triggers []attune.Ref  // of [RoleEvent], 1 to [MaxTokenTriggers]
	Life     time.Duration // [MinTokenLife] to [MaxTokenLife]; 0 means that the token does not expire
}

var tokenName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]*$`)

// Validate returns an [attune.CodeInvalid] error that names the field.
func (r TokenRequest) Validate() error {
	if err := CheckTokenName(r.Name); err != nil {
		return err
	}
	if r.Name == Bootstrap {
		return attune.Errorf(attune.CodeInvalid, "name: %q belongs to the token of the settings: use another name", Bootstrap)
	}
	if err := r.Role.Validate(); err != nil {
		return attune.Errorf(attune.CodeInvalid, "role: %s", err)
	}
	if err := r.checkTriggers(); err != nil {
		return err
	}
	if r.Life == 0 {
		return nil
	}
	return CheckLife(r.Life)
}

func (r TokenRequest) checkTriggers() error {
	switch n := len(r.Triggers); {
	case r.Role == RoleEvent && (n == 0 || n > MaxTokenTriggers):
		return attune.Errorf(attune.CodeInvalid, "triggers: the role %s needs 1 to %d", RoleEvent, MaxTokenTriggers)
	case r.Role != RoleEvent && n > 0:
		return attune.Errorf(attune.CodeInvalid, "triggers: only the role %s has triggers", RoleEvent)
	}
	for i, trigger := range r.Triggers {
		if err := trigger.Validate(); err != nil {
			return attune.Errorf(attune.CodeInvalid, "triggers: %s", err)
		}
		if slices.Contains(r.Triggers[:i], trigger) {
			return attune.Errorf(attune.CodeInvalid, "triggers: %q is named twice", trigger)
		}
	}
	return nil
}

// CheckTokenName returns an [attune.CodeInvalid] error for a text that is not the name of a token.
func CheckTokenName(name string) error {
	if len(name) > MaxTokenName || !tokenName.MatchString(name) {
		return attune.Errorf(attune.CodeInvalid, "name %q: use 1 to %d lower-case letters, digits, '.', '_', '@' or '-', "+
			"starting with a letter or digit", attune.Shorten(name, maxQuoted), MaxTokenName)
	}
	return nil
}

// CheckLife returns an [attune.CodeInvalid] error for a time until the expiry that is out of bounds. 0 is out of bounds: only a request
// that names no time makes a token that does not expire.
func CheckLife(life time.Duration) error {
	if life < MinTokenLife || life > MaxTokenLife {
		return attune.Errorf(attune.CodeInvalid, "expires_in: %s: use %s to %s, or leave it out", life, MinTokenLife, MaxTokenLife)
	}
	return nil
}

// CheckKeepOld returns an [attune.CodeInvalid] error for a time out of bounds.
func CheckKeepOld(keep time.Duration) error {
	if keep < 0 || keep > MaxKeepOld {
		return attune.Errorf(attune.CodeInvalid, "keep_old: %s: use 0s to %s", keep, MaxKeepOld)
	}
	return nil
}
