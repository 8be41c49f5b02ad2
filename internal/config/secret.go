package config

import "net/url"

// Secret is a text that no print, log line or JSON document shows. The zero value means "not set".
//
// The text is behind a pointer: a print that cannot call methods (of a Secret in an unexported field of a struct) shows only an
// address.
type Secret struct {
	value *string
	shown string // the text that prints show instead
}

// NewSecret returns a secret with a value, or an unset secret when value is empty. Prints show "[redacted]".
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value, shown: "[redacted]"}
}

// NewURL returns a secret with the URL of a service, or an unset secret when text is empty. Prints show the URL without its
// password.
func NewURL(text string) Secret {
	s := NewSecret(text)
	if parsed, err := url.Parse(text); err == nil && parsed.Opaque == "" {
		s.shown = withoutPassword(parsed)
	}
	return s
}

func withoutPassword(u *url.URL) string {
	query := u.Query()
	for _, key := range []string{"password", "sslpassword"} {
		if query.Has(key) {
			query.Set(key, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}

// Reveal returns the text, or "" for an unset secret.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether the secret has a value.
func (s Secret) IsSet() bool { return s.value != nil }

// String returns a URL without its password, or "[redacted]", or "" for an unset secret.
func (s Secret) String() string { return s.shown }

// MarshalText implements [encoding.TextMarshaler], which JSON and log handlers use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown), nil }
