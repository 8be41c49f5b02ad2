package config

import (
	"log/slog"
	"net/url"
)

const redacted = "[redacted]"

// Secret is a text that no print, log line or JSON document shows. The zero value is "not set".
//
// The text is behind a pointer so that even a print that cannot call methods (a Secret in an unexported field of
// somebody's struct) shows an address.
type Secret struct{ value *string }

// NewSecret hides value; an empty one is not set.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
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

func (s Secret) String() string {
	if !s.IsSet() {
		return ""
	}
	return redacted
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return `config.Secret("` + s.String() + `")` }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// URL is the address of a service. It prints without its password; Reveal returns all of it.
type URL struct{ secret Secret }

// NewURL hides the password in text; an empty text is not set.
func NewURL(text string) URL { return URL{NewSecret(text)} }

// Reveal returns the URL with its password, or "" when none is set.
func (u URL) Reveal() string { return u.secret.Reveal() }

// IsSet reports whether there is a URL.
func (u URL) IsSet() bool { return u.secret.IsSet() }

func (u URL) String() string {
	if !u.IsSet() {
		return ""
	}
	parsed, err := url.Parse(u.Reveal())
	if err != nil || parsed.Opaque != "" {
		return redacted
	}
	query := parsed.Query()
	for _, key := range []string{"password", "sslpassword"} {
		if query.Has(key) {
			query.Set(key, "xxxxx")
			parsed.RawQuery = query.Encode()
		}
	}
	return parsed.Redacted()
}

// GoString implements [fmt.GoStringer].
func (u URL) GoString() string { return `config.URL("` + u.String() + `")` }

// MarshalText implements [encoding.TextMarshaler].
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue implements [slog.LogValuer].
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }
