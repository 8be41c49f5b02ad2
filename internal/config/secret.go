package config

import "net/url"

// Secret is a text that no print, log line or JSON document shows. The zero value is "not set".
//
// The text is behind a pointer so that even a print that cannot call methods (a Secret in an unexported field of a struct)
// shows an address.
type Secret struct {
	value *string
	shown string // what stands for it
}

// NewSecret hides value; an empty one is not set.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value, shown: "[redacted]"}
}

// NewURL hides the password in the URL of a service; an empty text is not set.
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

// Reveal returns the text, or "" when none is set.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsSet reports whether there is a text.
func (s Secret) IsSet() bool { return s.value != nil }

// String is what may be shown: a URL without its password, or "[redacted]"; "" when none is set.
func (s Secret) String() string { return s.shown }

// MarshalText implements [encoding.TextMarshaler], which JSON and log handlers use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown), nil }
