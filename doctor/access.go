package doctor

import (
	"context"
	"fmt"

	"github.com/attune-go/attune"
)

// Issuer is the OpenID Connect issuer of the settings; without a URL, there is none.
type Issuer struct {
	URL      string
	Audience string
	// Keys asks the issuer for its keys, and returns how many of them can verify a token.
	Keys func(context.Context) (int, error)
}

// OIDC checks that JSON web tokens can be verified: the issuer answers with keys, and the audience is set.
func OIDC(issuer Issuer) Check {
	return Check{Name: "oidc issuer", Run: func(ctx context.Context) ([]Finding, error) {
		if issuer.URL == "" {
			return []Finding{{Severity: OK, What: "No OpenID Connect issuer is configured."}}, nil
		}
		keys, err := issuer.Keys(ctx)
		finding := Finding{Severity: Problem, Where: issuer.URL}
		switch {
		case err != nil:
			finding.What = "Its keys cannot be read: " + reason(err) + "."
			finding.Do = "Check oidc.issuer, that the API process reaches it, and that it trusts its certificate (SSL_CERT_FILE). Until " +
				"its keys can be read, tokens with keys that attune does not know get 503."
		case keys == 0:
			finding.What = "The issuer answers, but has no key that can verify a token."
			finding.Do = "Check oidc.issuer, and the keys of the issuer (jwks_uri in its discovery document)."
		case issuer.Audience == "":
			finding.What = "The issuer answers, but no audience is set."
			finding.Do = "Set oidc.audience to what the issuer writes into the claim aud of tokens for attune."
		default:
			finding.Severity = OK
			finding.What = fmt.Sprintf("The issuer answers with %s; tokens need the audience %q.", counted(keys, "key", "keys"),
				issuer.Audience)
		}
		return []Finding{finding}, nil
	}}
}

// KeyUseReader counts the encrypted values of each key.
type KeyUseReader interface {
	KeyUses(ctx context.Context) ([]attune.KeyUse, error)
}

// Keyring knows the keys of this process that encrypt and decrypt.
type Keyring interface {
	Empty() bool
	First() string // id of the key that encrypts
	Has(id string) bool
}

// SecretsKey checks that this process has the key of every encrypted value, and that no value has an older key.
func SecretsKey(keys Keyring, read func(context.Context) ([]attune.KeyUse, error)) Check {
	return Check{Name: "secrets key", Run: func(ctx context.Context) ([]Finding, error) {
		uses, err := read(ctx)
		if err != nil {
			return nil, err
		}
		var findings []Finding
		for _, use := range uses {
			if finding, found := keyFinding(keys, use); found {
				findings = append(findings, finding)
			}
		}
		if findings == nil {
			what := "No value is encrypted, and there is no key for secrets."
			if !keys.Empty() {
				what = fmt.Sprintf("Every encrypted value has the key %s.", keys.First())
			}
			findings = []Finding{{Severity: OK, What: what}}
		}
		return findings, nil
	}}
}

// keyFinding returns the finding about a key that values have, unless it is the first key of the process.
func keyFinding(keys Keyring, use attune.KeyUse) (Finding, bool) {
	finding := Finding{Where: "key " + use.Key}
	values := counted(use.Secrets, "secret", "secrets") + ", the secret fields of " + counted(use.Events, "event", "events") +
		" and the secret parameters of " + counted(use.Enforcements, "enforcement", "enforcements")
	switch {
	case !keys.Has(use.Key):
		finding.Severity = Problem
		finding.What = fmt.Sprintf("%s have the key %s, which the API process does not have: attempts that need them fail.",
			values, use.Key)
		finding.Do = "Add the key to the file of secrets.key_file, after the first one, in every process with the role api or bridge, " +
			"and send SIGHUP. If the key is lost, set the secrets again: attune secret set. The secret fields of events are lost with it."
	case use.Key != keys.First():
		finding.Severity = Note
		finding.What = fmt.Sprintf("%s have the older key %s; the first key is %s.", values, use.Key, keys.First())
		finding.Do = "Run attune secret rotate-key before you remove the older key."
	default:
		return finding, false
	}
	return finding, true
}
