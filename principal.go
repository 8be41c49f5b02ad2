package attune

// Bounds of what an [Author] says, in bytes.
const (
	MaxPrincipalName = 200
	MaxOnBehalfOf    = 200
	MaxChangeNote    = 1000
)

// Principal is who makes a request, as the edge of attune has authenticated it.
type Principal struct {
	Name   string     `json:"name"` // 1 to [MaxPrincipalName] bytes of printable text
	Method AuthMethod `json:"method"`
}

// AuthMethod says how a principal was authenticated.
type AuthMethod string

// The methods of authentication.
const (
	AuthToken    AuthMethod = "token"    // a bearer token of the API
	AuthTemporal AuthMethod = "temporal" // access to Temporal: an update or signal sent with Temporal's own tools
	AuthSystem   AuthMethod = "system"   // attune itself, for example a workflow that was cancelled
)

// AuthMethods lists every method of authentication.
func AuthMethods() []AuthMethod { return []AuthMethod{AuthToken, AuthTemporal, AuthSystem} }

// Validate returns a [CodeInvalid] error for a name that is empty or no short text, and for an unknown method.
func (p Principal) Validate() error {
	if p.Name == "" {
		return Errorf(CodeInvalid, "principal: the name is missing: use 1 to %d bytes", MaxPrincipalName)
	}
	if err := CheckText("principal", p.Name, MaxPrincipalName); err != nil {
		return err
	}
	switch p.Method {
	case AuthToken, AuthTemporal, AuthSystem:
		return nil
	default:
		return Errorf(CodeInvalid, "principal: unknown method of authentication: use %q, %q or %q", AuthToken, AuthTemporal, AuthSystem)
	}
}

// Author is who makes a change, and why.
type Author struct {
	Principal  Principal `json:"principal"`
	OnBehalfOf string    `json:"on_behalf_of,omitempty"` // the person it is for, as the principal says; up to [MaxOnBehalfOf] bytes
	Note       string    `json:"note,omitempty"`         // why; up to [MaxChangeNote] bytes
}

// Validate returns a [CodeInvalid] error that names the field that is missing, too long, or not text: see [CheckText].
func (a Author) Validate() error {
	if err := a.Principal.Validate(); err != nil {
		return err
	}
	if err := CheckText("on_behalf_of", a.OnBehalfOf, MaxOnBehalfOf); err != nil {
		return err
	}
	return CheckText("note", a.Note, MaxChangeNote)
}

// Who is the author in a few words for a person: the principal, and the person it acts for.
func (a Author) Who() string {
	if a.OnBehalfOf == "" {
		return a.Principal.Name
	}
	return a.Principal.Name + " for " + a.OnBehalfOf
}
