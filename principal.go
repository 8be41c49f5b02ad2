package attune

import "slices"

// Bounds of the texts of an [Author], in bytes.
const (
	MaxPrincipalName = 200
	MaxOnBehalfOf    = 200
	MaxChangeNote    = 1000
)

// Principal is the authenticated sender of a request.
//
// Stored in Temporal's history: see [Author].
type Principal struct {
	Name   string     `json:"name"` // 1 to [MaxPrincipalName] bytes of printable text
	Method AuthMethod `json:"method"`
}

// AuthMethod says how a principal was authenticated.
type AuthMethod string

// The methods of authentication.
const (
	AuthToken    AuthMethod = "token"    // a bearer token of the API
	AuthOIDC     AuthMethod = "oidc"     // a JSON web token of an OpenID Connect issuer
	AuthTemporal AuthMethod = "temporal" // access to Temporal: an update or signal sent with Temporal's own tools
	AuthSystem   AuthMethod = "system"   // attune itself, for example a workflow that was cancelled
)

// AuthMethods lists every method of authentication.
func AuthMethods() []AuthMethod { return []AuthMethod{AuthToken, AuthOIDC, AuthTemporal, AuthSystem} }

// Validate returns a [CodeInvalid] error for an empty name, a name that [CheckText] refuses, and an unknown method.
func (p Principal) Validate() error {
	if p.Name == "" {
		return Errorf(CodeInvalid, "principal: the name is missing: use 1 to %d bytes", MaxPrincipalName)
	}
	if err := CheckText("principal", p.Name, MaxPrincipalName); err != nil {
		return err
	}
	if !slices.Contains(AuthMethods(), p.Method) {
		return Errorf(CodeInvalid, "principal: unknown method of authentication: use one of %q", AuthMethods())
	}
	return nil
}

// Author says who makes a change, and why.
//
// Stored in Temporal's history: in the arguments of updates, and in the carried state of a queue.
type Author struct {
	Principal  Principal `json:"principal"`
	OnBehalfOf string    `json:"on_behalf_of,omitempty"` // the person that the principal acts for; up to [MaxOnBehalfOf] bytes
	Note       string    `json:"note,omitempty"`         // the reason for the change; up to [MaxChangeNote] bytes
}

// Validate returns a [CodeInvalid] error that names the field: a principal that is not valid, or a text that [CheckText]
// refuses.
func (a Author) Validate() error {
	if err := a.Principal.Validate(); err != nil {
		return err
	}
	if err := CheckText("on_behalf_of", a.OnBehalfOf, MaxOnBehalfOf); err != nil {
		return err
	}
	return CheckText("note", a.Note, MaxChangeNote)
}

// Who names the principal for people: "ci" for the holder of a token, and the method with the name for the others, such as
// "oidc:ci". No token has a colon in its name, so principals with the same name stay apart.
func (p Principal) Who() string {
	if p.Method == AuthToken || p.Method == "" {
		return p.Name
	}
	return string(p.Method) + ":" + p.Name
}

// Who names the author for people: the principal, and the person that the principal acts for.
func (a Author) Who() string {
	if a.OnBehalfOf == "" {
		return a.Principal.Who()
	}
	return a.Principal.Who() + " for " + a.OnBehalfOf
}
