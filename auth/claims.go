package auth

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/attune-go/attune"
)

// The claims that attune reads when the settings name no others.
const (
	DefaultRoleClaim = "roles"
	DefaultNameClaim = "sub" // unique and stable for every issuer
)

// ClaimRules say how the claims of a verified JSON web token become a [Caller].
type ClaimRules struct {
	RoleClaim string          // a text or a list of texts; dots lead into nested claims; default [DefaultRoleClaim]
	NameClaim string          // a text: the name of the principal; default [DefaultNameClaim]
	Roles     map[string]Role // role of each value of RoleClaim that gives one; see [MappedRoles]
}

// MappedRoles lists the roles that a claim can give, the strongest first. The role event is not among them: a token names its
// triggers.
func MappedRoles() []Role { return []Role{RoleAdmin, RoleOperator, RoleViewer, RoleWorker} }

// Caller returns the caller with these claims. Several values give the strongest of their roles; without any, the caller has no role. A
// name that is missing, that is no valid name of a principal or that belongs to attune itself is an [attune.CodeUnauthorized] error.
func (r ClaimRules) Caller(claims map[string]any) (Caller, error) {
	claim := cmp.Or(r.NameClaim, DefaultNameClaim)
	name, _ := lookUp(claims, claim).(string)
	principal := attune.Principal{Name: name, Method: attune.AuthOIDC}
	if err := principal.Validate(); err != nil {
		return Caller{}, attune.WrapError(attune.CodeUnauthorized, err, "the token has no usable name in the claim %q", claim)
	}
	if i := strings.IndexFunc(name, invisible); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return Caller{}, attune.Errorf(attune.CodeUnauthorized,
			"the name of the token in the claim %q has the invisible character %U: give the person another name at the issuer", claim, r)
	}
	if reserved(name) {
		return Caller{}, attune.Errorf(attune.CodeUnauthorized,
			"the token has the name %q in the claim %q, which belongs to attune: give the person another name at the issuer", name, claim)
	}
	if verified, stated := claims["email_verified"]; claim == "email" && stated && verified != true && verified != "true" {
		return Caller{}, attune.Errorf(attune.CodeUnauthorized, "the issuer has not verified the email address of the token")
	}
	return Caller{Principal: principal, Role: r.role(claims)}, nil
}

// invisible reports whether people cannot see a character, or take it for another space: two principals whose names differ only in such
// characters look the same. Names of tokens have no such characters either.
func invisible(r rune) bool {
	const blankBraille = '\u2800' // a symbol to Unicode, and blank to the eye
	return !unicode.IsPrint(r) || r == blankBraille ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// reserved reports whether a name belongs to attune itself: people would read it as the author of what attune, or the token of the
// settings, has done.
func reserved(name string) bool {
	own := []string{Bootstrap, string(attune.AuthTemporal), string(attune.AuthSystem), "attune"}
	return slices.ContainsFunc(own, func(o string) bool { return strings.EqualFold(o, strings.TrimSpace(name)) })
}

// role returns the strongest role that the claims give, or none.
func (r ClaimRules) role(claims map[string]any) Role {
	given := map[Role]bool{}
	for _, value := range texts(lookUp(claims, cmp.Or(r.RoleClaim, DefaultRoleClaim))) {
		given[r.Roles[value]] = true
	}
	strongest := slices.IndexFunc(MappedRoles(), func(role Role) bool { return given[role] })
	if strongest < 0 {
		return ""
	}
	return MappedRoles()[strongest]
}

// lookUp returns a claim. A claim whose name has dots comes before a nested one: many issuers use URLs as names.
func lookUp(claims map[string]any, name string) any {
	if value, found := claims[name]; found {
		return value
	}
	first, rest, nested := strings.Cut(name, ".")
	inner, isObject := claims[first].(map[string]any)
	if !nested || !isObject {
		return nil
	}
	return lookUp(inner, rest)
}

// texts returns the texts of a claim that is a text or a list.
func texts(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return []string{claim}
	case []any:
		var found []string
		for _, value := range claim {
			if text, ok := value.(string); ok {
				found = append(found, text)
			}
		}
		return found
	default:
		return nil
	}
}
