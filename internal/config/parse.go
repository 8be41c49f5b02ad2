package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

// single returns a function that parses one value into a field of the configuration. An empty value is an error.
func single[T any](into *T, parse func(string) (T, error)) func([]string) error {
	return list(into, func(values []string) (T, error) {
		if values[0] == "" {
			var none T
			return none, errors.New("is empty: give it a value or leave it out")
		}
		return parse(values[0])
	})
}

// list returns a function that parses a list of values into a field of the configuration. An error leaves the field as it is.
func list[T any](into *T, parse func([]string) (T, error)) func([]string) error {
	return func(values []string) error {
		value, err := parse(values)
		if err == nil {
			*into = value
		}
		return err
	}
}

// between is a range of values, both ends included.
type between[T cmp.Ordered] struct {
	least, most T
	parse       func(string) (T, error)
	kind, hint  string // for messages: what a value is, and examples
}

func (b between[T]) String() string { return fmt.Sprintf("%v to %v", b.least, b.most) }

func (b between[T]) read(text string) (T, error) {
	value, err := b.parse(text)
	if err != nil || value < b.least || value > b.most {
		var none T
		return none, fmt.Errorf("%q: use %s from %v%s", text, b.kind, b, b.hint)
	}
	return value, nil
}

// portFrom is the range of ports from least up.
func portFrom(least int) between[int] {
	return between[int]{least, 65535, strconv.Atoi, "a whole number", ""}
}

func anyText(text string) (string, error) { return text, nil }

// folders accepts any paths except an empty one. It does not check that the folders exist.
func folders(values []string) ([]string, error) {
	if slices.Contains(values, "") {
		return nil, errors.New("names a folder \"\": give its path or leave it out")
	}
	return values, nil
}

// serviceURL accepts a URL with one of the schemes. Its errors do not quote the value, which may contain a password.
func serviceURL(schemes ...string) func(string) (Secret, error) {
	return func(text string) (Secret, error) {
		parsed, err := url.Parse(text)
		if err != nil || parsed.Host == "" || !slices.Contains(schemes, parsed.Scheme) {
			return Secret{}, fmt.Errorf("is not a URL of the form %s://user:password@host:port/name; "+
				"percent-encode special characters in the password", schemes[0])
		}
		if _, err := portFrom(1).read(cmp.Or(parsed.Port(), "1")); err != nil {
			return Secret{}, fmt.Errorf("has the port %w", err)
		}
		return NewURL(text), nil
	}
}

func listenAddress(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port, for example 127.0.0.1:8080 or :8080", text)
	}
	if _, err := portFrom(0).read(port); err != nil {
		return "", fmt.Errorf("%q has the port %w", text, err)
	}
	return text, nil
}

// minTokenLength is the least length of a token, in bytes.
const minTokenLength = 16

// token accepts the characters that RFC 6750 allows in an Authorization header. Its errors do not quote the value.
func token(text string) (Secret, error) {
	if len(text) < minTokenLength {
		return Secret{}, fmt.Errorf("has %d characters: use %d or more, for example the output of \"openssl rand -hex 32\"",
			len(text), minTokenLength)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9._~+/=-]*$`).MatchString(text) {
		return Secret{}, errors.New("has a character that a header cannot carry: use letters, digits and - . _ ~ + / =")
	}
	return NewSecret(text), nil
}

// hostAndProcess returns the host's name and the process id, or "" when the host has no name. No other process of the host has
// this name at the same time. A container counts as a host, unless it was given the name of another host; its process
// has the same id after each start.
func hostAndProcess() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// workerName accepts a name that is readable in tables, labels and URLs.
func workerName(text string) (string, error) {
	if len(text) > attune.MaxWorkerName || !regexp.MustCompile(`^[A-Za-z0-9._-]+$`).MatchString(text) {
		return "", fmt.Errorf("%q: use 1 to %d letters, digits, '-', '.' or '_'", text, attune.MaxWorkerName)
	}
	return text, nil
}

func envGrants(values []string) (attune.EnvGrants, error) {
	var grants attune.EnvGrants
	for _, value := range values {
		grant, err := attune.ParseEnvGrant(strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		grants = append(grants, grant)
	}
	return grants, nil
}

func parseRoles(values []string) ([]Role, error) {
	var roles []Role
	for _, value := range values {
		role := Role(strings.TrimSpace(value))
		if !slices.Contains(Roles(), role) {
			return nil, fmt.Errorf("%q is not a role: use one or more of %s", role, joinRoles(Roles()))
		}
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	if len(roles) == 0 {
		return nil, fmt.Errorf("names no role: use one or more of %s", joinRoles(Roles()))
	}
	return roles, nil
}

func joinRoles[T ~string](roles []T) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(roles), "[]"), " ", ",")
}

func poolName(text string) (string, error) { return text, attune.ValidateName("pool", text) }

func logLevel(text string) (level slog.Level, err error) {
	if text, err = oneOf("debug", "info", "warn", "error")(strings.ToLower(text)); err == nil {
		err = level.UnmarshalText([]byte(text))
	}
	return level, err
}

func oneOf(choices ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(choices, text) {
			return "", fmt.Errorf("%q: use %s", text, strings.Join(choices, ", "))
		}
		return text, nil
	}
}

// signingKey accepts a key that signs for workers. Its errors do not quote the value.
func signingKey(text string) (Secret, error) {
	if _, err := attune.ParseBridgeSigningKey(text); err != nil {
		return Secret{}, err
	}
	return NewSecret(text), nil
}

func bridgeKeys(values []string) ([]attune.BridgeKey, error) {
	var keys []attune.BridgeKey
	for _, value := range values {
		key, err := attune.ParseBridgeKey(value)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// secretsKey accepts one or more keys. Its errors do not quote the value.
func secretsKey(text string) (Secret, error) {
	if _, err := secrets.ParseKeyring(text); err != nil {
		return Secret{}, err
	}
	return NewSecret(text), nil
}
