package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attune-go/attune"
)

// input is what one layer says about a setting. The zero value says nothing.
type input struct {
	values []string
	from   string // "--flag", "VARIABLE", "file:line" or "default"
}

// Load reads every layer and returns the process's configuration. flags are those of [Bind], or nil; lookup reads the
// environment: pass [os.LookupEnv].
//
// The error is an [attune.CodeInvalid] that lists everything that is wrong, one problem a line, each with the place the
// value came from. What a role needs is checked by [Config.Validate], because some commands bring it themselves.
func Load(flags *pflag.FlagSet, lookup func(string) (string, bool)) (Config, error) {
	l := &loader{lookup: lookup, flags: flags}
	l.readFile()
	var c Config
	for _, s := range settings(&c) {
		l.load(s)
	}
	return c, report(l.problems)
}

// Validate reports what the roles of this process need and were not given. The error is an [attune.CodeInvalid] that lists
// everything missing and where to set it.
func (c Config) Validate() error {
	var problems []string
	for _, s := range settings(&c) {
		wanting := slices.DeleteFunc(s.neededBy, func(role Role) bool { return !c.Has(role) })
		if len(wanting) == 0 || s.secret.IsSet() {
			continue
		}
		roles := "the role "
		if len(wanting) > 1 {
			roles = "each of the roles "
		}
		problems = append(problems, fmt.Sprintf("%s is not set and %s%s needs it: set %s, for example to %s",
			s.name, roles, joinRoles(wanting), Ways(s.name), s.example))
	}
	return report(problems)
}

// Ways says where a setting can be set, for messages: "--flag or VARIABLE or key in the settings file". It is empty for a name
// that no setting has.
func Ways(name string) string {
	for _, s := range settings(new(Config)) {
		if s.name != name {
			continue
		}
		var all []string
		if itself := s.ways()[0]; itself.flag != "" {
			all = append(all, "--"+itself.flag)
		}
		for _, w := range s.ways() {
			all = append(all, w.env)
		}
		return strings.Join(append(all, name+" in the settings file"), " or ")
	}
	return ""
}

// report joins problems into one error; none is no error.
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
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) readFile() {
	in := l.inEnvironment(setting{}, way{env: configFileEnv})
	if given := l.onCommandLine(setting{}, way{flag: configFileFlag}); given.from != "" {
		in = given
	}
	if in.from == "" || in.values[0] == "" {
		return
	}
	data, err := os.ReadFile(in.values[0])
	if err != nil {
		l.problem("%s: read the settings file: %v", in.from, err)
		return
	}
	l.file, l.problems = parseFile(in.values[0], data)
}

// load parses what the last layer says that says anything. Saying it twice in one layer is a mistake.
func (l *loader) load(s setting) {
	var said input
	set := s.set
	if s.standard != "" {
		said = input{s.split(s.standard), "default"}
	}
	for _, layer := range []func(setting, way) input{l.inFile, l.inEnvironment, l.onCommandLine} {
		before := ""
		for _, w := range s.ways() {
			in := layer(s, w)
			if in.from == "" {
				continue
			}
			if before != "" {
				l.problem("%s and %s: both give %s: keep one of them", before, in.from, s.name)
				return
			}
			before, said, set = in.from, in, w.set
		}
	}
	if said.from == "" {
		return
	}
	if err := set(said.values); err != nil {
		l.problem("%s: %s %v", said.from, s.name, err)
	}
}

func (l *loader) inFile(_ setting, w way) input { return l.file[w.key] }

// inEnvironment takes a variable that is set but empty for one that is not set, as compose files like to do.
func (l *loader) inEnvironment(s setting, w way) input {
	if text, _ := l.lookup(w.env); text != "" {
		return input{s.split(text), w.env}
	}
	return input{}
}

func (l *loader) onCommandLine(_ setting, w way) input {
	if l.flags == nil || !l.flags.Changed(w.flag) {
		return input{}
	}
	value := l.flags.Lookup(w.flag).Value
	if list, ok := value.(pflag.SliceValue); ok {
		return input{list.GetSlice(), "--" + w.flag}
	}
	return input{[]string{value.String()}, "--" + w.flag}
}

// maxSecretBytes bounds a file that holds a secret; a larger one is some other file.
const maxSecretBytes = 64 << 10

// fromFile sets the value that a file holds.
func fromFile(set func([]string) error) func([]string) error {
	return func(paths []string) error {
		info, err := os.Stat(paths[0])
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > maxSecretBytes {
			return fmt.Errorf("%q is not a regular file of at most %d KiB", paths[0], maxSecretBytes>>10)
		}
		data, err := os.ReadFile(paths[0])
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(data))
		if text == "" {
			return fmt.Errorf("%q is empty: put the value into it", paths[0])
		}
		return set([]string{text})
	}
}
