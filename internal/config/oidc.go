package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/attune-go/attune/auth"
)

// OIDC says which JSON web tokens the API accepts. Without an issuer, it accepts none.
type OIDC struct {
	Issuer   string // URL
	Audience string
	Claims   auth.ClaimRules
}

func oidcSettings(c *OIDC) []setting {
	return []setting{
		{name: "oidc.issuer", set: single(&c.Issuer, issuerURL),
			doc: "URL of an OpenID Connect issuer whose JSON web tokens the API accepts, exactly as its tokens name it"},
		{name: "oidc.audience", set: single(&c.Audience, anyText),
			doc: "audience that a JSON web token must name"},
		{name: "oidc.roles", separator: comma, set: list(&c.Claims.Roles, claimRoles),
			doc: "roles of the holders of JSON web tokens, each as VALUE=ROLE with a value of the claim; the strongest counts; roles: " +
				joinRoles(auth.MappedRoles())},
		{name: "oidc.role_claim", defaultText: auth.DefaultRoleClaim, set: single(&c.Claims.RoleClaim, anyText),
			doc: "claim with the values of oidc.roles; dots lead into nested claims, as in realm_access.roles"},
		{name: "oidc.name_claim", defaultText: auth.DefaultNameClaim, set: single(&c.Claims.NameClaim, anyText),
			doc: "claim with the name of the principal, such as email"},
	}
}

// problems lists what an issuer needs and does not have.
func (c OIDC) problems() []string {
	if c.Issuer == "" {
		return nil
	}
	var found []string
	for name, missing := range map[string]bool{"oidc.audience": c.Audience == "", "oidc.roles": len(c.Claims.Roles) == 0} {
		if missing {
			found = append(found, fmt.Sprintf("%s is not set and oidc.issuer needs it: set %s", name, HowToSet(name)))
		}
	}
	slices.Sort(found)
	return found
}

// issuerURL accepts a URL over which keys can be read: without TLS, another process on the way could replace them.
func issuerURL(text string) (string, error) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Host == "" || parsed.RawQuery != "" || parsed.Fragment != "" || parsed.User != nil:
		return "", errors.New("is not a URL of the form https://host/path")
	case parsed.Scheme == "https" || parsed.Scheme == "http" && loopback(parsed.Hostname()):
		return text, nil
	default:
		return "", errors.New("needs https: over http, its keys could be replaced on the way")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// claimRoles reads VALUE=ROLE. The value may contain an equals sign.
func claimRoles(values []string) (map[string]auth.Role, error) {
	roles := map[string]auth.Role{}
	for _, text := range values {
		last := strings.LastIndex(text, "=")
		if last < 1 {
			return nil, fmt.Errorf("%q: use VALUE=ROLE", text)
		}
		value, role := text[:last], auth.Role(text[last+1:])
		if !slices.Contains(auth.MappedRoles(), role) {
			return nil, fmt.Errorf("%q: %q is not a role for a claim: use one of %s", text, role, joinRoles(auth.MappedRoles()))
		}
		if earlier, given := roles[value]; given && earlier != role {
			return nil, fmt.Errorf("%q has two roles: keep one", value)
		}
		roles[value] = role
	}
	return roles, nil
}
