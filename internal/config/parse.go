package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// splitWords splits a comma-separated list; spaces around an item and empty items are dropped.
func splitWords(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// pathSeparator is what parts the folders of PATH on this system.
const pathSeparator = string(filepath.ListSeparator)

// splitPaths splits a list that is written like PATH; empty items are dropped.
func splitPaths(text string) []string {
	return slices.DeleteFunc(filepath.SplitList(text), func(path string) bool { return path == "" })
}

// folders accepts any paths; whether there is something is seen when it is read.
func folders(values []string) ([]string, error) {
	if slices.Contains(values, "") {
		return nil, errors.New("names a folder \"\": give its path or leave it out")
	}
	return values, nil
}

// serviceURL never repeats the value: it may hold a password.
func serviceURL(text string, schemes ...string) (URL, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || !slices.Contains(schemes, parsed.Scheme) {
		return URL{}, fmt.Errorf("is not a URL of the form %s://user:password@host:port/name; "+
			"percent-encode special characters in the password", schemes[0])
	}
	if port := parsed.Port(); port != "" {
		if _, err := wholeNumber(port, 1, 65535); err != nil {
			return URL{}, fmt.Errorf("has the port %w", err)
		}
	}
	return NewURL(text), nil
}

func listenAddress(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q is not host:port, for example 127.0.0.1:8080 or :8080", text)
	}
	if _, err := wholeNumber(port, 0, 65535); err != nil {
		return "", fmt.Errorf("%q has the port %w", text, err)
	}
	return text, nil
}

// token accepts what RFC 6750 allows in an Authorization header. The value is not repeated.
func token(text string) (Secret, error) {
	if len(text) < MinTokenLength {
		return Secret{}, fmt.Errorf("has %d characters: use %d or more, for example the output of \"openssl rand -hex 32\"",
			len(text), MinTokenLength)
	}
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~+/=", r)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !allowed(r) }) {
		return Secret{}, errors.New("has a character that a header cannot carry: use letters, digits and - . _ ~ + / =")
	}
	return NewSecret(text), nil
}

func parseRoles(values []string) ([]Role, error) {
	var roles []Role
	for _, value := range values {
		role := Role(value)
		if !slices.Contains(Roles(), role) {
			return nil, fmt.Errorf("%q is not a role: use one or more of %s", value, joinRoles(Roles()))
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

func joinRoles(roles []Role) string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return strings.Join(names, ",")
}

func poolName(text string) (string, error) { return text, attune.ValidateName("pool", text) }

// workerName keeps the name readable in tables, labels and URLs.
func workerName(text string) (string, error) {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r)
	}
	if len(text) > attune.MaxWorkerName || strings.ContainsFunc(text, func(r rune) bool { return !allowed(r) }) {
		return "", fmt.Errorf("%q: use 1 to %d letters, digits, '-', '.' or '_'", text, attune.MaxWorkerName)
	}
	return text, nil
}

func wholeNumber(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q: use a whole number from %d to %d", text, least, most)
	}
	return n, nil
}

func duration(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q: use a length of time from %s to %s, such as 30s or 2m", text, least, most)
	}
	return d, nil
}

func logLevel(text string) (slog.Level, error) {
	name, err := oneOf(strings.ToLower(text), "debug", "info", "warn", "error")
	if err != nil {
		return 0, err
	}
	var level slog.Level
	err = level.UnmarshalText([]byte(name))
	return level, err
}

func oneOf(text string, choices ...string) (string, error) {
	if !slices.Contains(choices, text) {
		return "", fmt.Errorf("%q: use %s", text, strings.Join(choices, ", "))
	}
	return text, nil
}
