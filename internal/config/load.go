package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/readfile"
)

// input holds the values of a setting in one layer. The zero value means that the layer does not set it.
type input struct {
	values []string
	from   string // "--flag", "VARIABLE", "file:line" or "default"
}

// Load reads every layer and returns the configuration of the process. flags is the result of [Bind], or nil. lookup reads the
// environment: pass [os.LookupEnv].
//
// The error is an [attune.CodeInvalid]. It lists all problems, one per line, each with the place of the value. Load does not
// check that the settings of the roles are set, because some commands provide them: see [Config.Validate].
//
// The settings file can be a pipe: Load waits for its writer.
func Load(flags *pflag.FlagSet, lookup func(string) (string, bool)) (Config, error) {
	l := newLoader(flags, lookup)
	l.readSettings = os.ReadFile
	l.readFile()
	var c Config
	for _, s := range settings(&c) {
		l.load(s)
	}
	return c, report(l.problems)
}

// Reload reads every layer again. It returns the configuration, with the value of current where there is none that is valid, and
// the names of the settings whose values differ from those of current. A settings file that cannot be read changes nothing. The error
// is that of [Load].
//
// Reload reads regular files only, and gives a file up after [readfile.TimeLimit].
func Reload(current Config, flags *pflag.FlagSet, lookup func(string) (string, bool)) (next Config, changed []string, err error) {
	l := newLoader(flags, lookup)
	l.readFile()
	fileFailed := l.problems != nil
	next = current
	for _, s := range settings(&next) {
		before := next
		if l.load(s); !reflect.DeepEqual(before, next) {
			changed = append(changed, s.name)
		}
	}
	if fileFailed { // its settings seem to be unset; the other layers have been read for their problems
		next, changed = current, nil
	}
	return next, changed, report(l.problems)
}

// Validate checks that every setting is set that the roles of this process need. The error is an [attune.CodeInvalid] that lists
// the missing settings and where to set them.
func (c Config) Validate() error {
	var problems []string
	for _, s := range settings(&c) {
		roles := slices.DeleteFunc(s.neededBy, func(role Role) bool {
			instead := s.instead[role]
			return !c.Has(role) || instead != nil && instead.IsSet()
		})
		if len(roles) == 0 || s.secret.IsSet() {
			continue
		}
		subject := "the role "
		if len(roles) > 1 {
			subject = "each of the roles "
		}
		problems = append(problems, fmt.Sprintf("%s is not set and %s%s needs it: set %s, for example to %s",
			s.name, subject, joinRoles(roles), HowToSet(s.name), s.example))
	}
	if c.Has(RoleAPI) {
		problems = append(problems, c.OIDC.problems()...)
	}
	if c.Has(RoleWorker) && len(c.BridgeKeys) == 0 && !c.BridgeKey.IsSet() {
		problems = append(problems, "worker.bridge_keys is not set and the role worker needs it, because it believes only what a bridge "+
			"has signed: set "+HowToSet("worker.bridge_keys")+" to the public key of the bridges, which \"attune keys public FILE\" prints")
	}
	if c.TLS.ClientCA != "" && c.TLS.Cert == "" || (c.TLS.Cert == "") != (c.TLS.Key == "") {
		problems = append(problems, "tls.cert and tls.key belong together, and tls.client_ca needs both: set both of them or neither")
	}
	return report(problems)
}

// HowToSet names the places where a setting can be set, for messages: "--flag or VARIABLE or key in the settings file". It
// returns "" for an unknown setting.
func HowToSet(name string) string {
	for _, s := range settings(new(Config)) {
		if s.name != name {
			continue
		}
		var all []string
		if plain := s.forms()[0]; plain.flag != "" {
			all = append(all, "--"+plain.flag)
		}
		for _, f := range s.forms() {
			all = append(all, f.env)
		}
		return strings.Join(append(all, name+" in the settings file"), " or ")
	}
	return ""
}

// SecretVariables lists the environment variables that hold a secret setting itself, not the path of its file.
func SecretVariables() []string {
	var names []string
	for _, s := range settings(new(Config)) {
		if s.secret != nil {
			names = append(names, s.forms()[0].env)
		}
	}
	return names
}

// report joins problems into one error. It returns nil without problems.
func report(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return attune.Errorf(attune.CodeInvalid, "configuration: %s", strings.Join(problems, "\n  and: "))
}

type loader struct {
	lookup   func(string) (string, bool)
	flags    *pflag.FlagSet
	file     map[string]input // by key
	problems []string
	// readSettings reads the settings file.
	readSettings func(path string) ([]byte, error)
}

func newLoader(flags *pflag.FlagSet, lookup func(string) (string, bool)) *loader {
	return &loader{lookup: lookup, flags: flags, readSettings: new(readfile.Reader).Read}
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) readFile() {
	in := l.inEnvironment(setting{}, form{env: configFileEnv})
	if given := l.onCommandLine(setting{}, form{flag: configFileFlag}); given.from != "" {
		in = given
	}
	if in.from == "" {
		return
	}
	if in.values[0] == "" {
		l.problem("%s is empty: name a settings file or leave it out", in.from)
		return
	}
	data, err := l.readSettings(in.values[0])
	if err != nil {
		l.problem("%s: read the settings file: %v", in.from, err)
		return
	}
	l.file, l.problems = parseFile(in.values[0], data)
}

// load parses the value of the last layer that sets s. Two forms of a secret in one layer are a problem.
func (l *loader) load(s setting) {
	var value input
	set := s.set
	if s.defaultText != "" {
		value = input{s.split(s.defaultText), "default"}
	}
	if l.exposed(s) {
		return
	}
	for _, layer := range []func(setting, form) input{l.inFile, l.inEnvironment, l.onCommandLine} {
		before := ""
		for _, f := range s.forms() {
			in := layer(s, f)
			if in.from == "" {
				continue
			}
			if before != "" {
				l.problem("%s and %s: both give %s: keep one of them", before, in.from, s.name)
				return
			}
			before, value, set = in.from, in, f.set
		}
	}
	if value.from == "" {
		return
	}
	if err := set(value.values); err != nil {
		l.problem("%s: %s %v", value.from, s.name, err)
	}
}

// exposed reports, as a problem, a URL with a password on the command line: every user of the machine can read it there.
func (l *loader) exposed(s setting) bool {
	plain := s.forms()[0]
	given := l.onCommandLine(s, plain)
	if s.secret == nil || given.from == "" {
		return false
	}
	parsed, err := url.Parse(given.values[0])
	if err != nil || parsed.String() == withoutPassword(parsed) {
		return false
	}
	l.problem("%s: %s has a password, which every user of this machine can read on the command line: set %s, or name a file with --%s-file",
		given.from, s.name, plain.env, plain.flag)
	return true
}

func (l *loader) inFile(_ setting, f form) input { return l.file[f.key] }

// inEnvironment ignores a variable that is set but empty: compose files set such variables.
func (l *loader) inEnvironment(s setting, f form) input {
	if text, _ := l.lookup(f.env); text != "" {
		return input{s.split(text), f.env}
	}
	return input{}
}

func (l *loader) onCommandLine(_ setting, f form) input {
	if l.flags == nil || !l.flags.Changed(f.flag) {
		return input{}
	}
	value := l.flags.Lookup(f.flag).Value
	if list, ok := value.(pflag.SliceValue); ok {
		return input{list.GetSlice(), "--" + f.flag}
	}
	return input{[]string{value.String()}, "--" + f.flag}
}

// maxSecretBytes bounds the file of a secret. A larger file cannot be the right one.
const maxSecretBytes = 64 << 10

// fromFile returns a function that reads the value from a file and sets it.
func fromFile(set func([]string) error) func([]string) error {
	return func(paths []string) error {
		if paths[0] == "" {
			return errors.New("names no file: give its path or leave it out")
		}
		text, err := ReadSecretFile(paths[0])
		if err != nil {
			return err
		}
		return set([]string{text})
	}
}

// ReadSecretFile returns the content of a file that holds a secret, without spaces at its ends. The error is about a file that
// cannot be read within [readfile.TimeLimit], is empty, has more than 64 KiB, or is no regular file; it begins with a verb.
func ReadSecretFile(path string) (string, error) { return ReadSecret(new(readfile.Reader).Read, path) }

// ReadSecret is [ReadSecretFile] with another way to read the file. A caller that reads a file again and again uses one
// [readfile.Reader]: a mount that does not answer then holds one thread, and not one for each call.
func ReadSecret(read func(path string) ([]byte, error), path string) (string, error) {
	data, err := read(path)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	if len(data) > maxSecretBytes {
		return "", fmt.Errorf("%q is not a regular file of at most %d KiB", path, maxSecretBytes>>10)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("%q is empty: put the value into it", path)
	}
	return text, nil
}
