package config

import (
	"os"

	"github.com/spf13/pflag"
)

// everyone is the right of every user of the machine to read a file.
const everyone = 0o004

// ExposedFiles returns the settings whose files hold a secret that every user of the machine can read, with the paths of the files. The
// arguments are those of [Load]. A file that cannot be looked at is left out: [Load] names it.
func ExposedFiles(flags *pflag.FlagSet, lookup func(string) (string, bool)) map[string]string {
	l := newLoader(flags, lookup)
	l.readFile()
	exposed := map[string]string{}
	for _, s := range settings(new(Config)) {
		path := l.secretFile(s)
		if info, err := os.Stat(path); path != "" && err == nil && info.Mode().Perm()&everyone != 0 {
			exposed[s.name] = path
		}
	}
	return exposed
}

// secretFile returns the path of the file with the secret of a setting, as the last layer gives it, or "".
func (l *loader) secretFile(s setting) string {
	forms := s.forms()
	if s.secret == nil && s.name != "tls.key" {
		return ""
	}
	path := ""
	for _, layer := range []func(setting, form) input{l.inFile, l.inEnvironment, l.onCommandLine} {
		for i, f := range forms {
			in := layer(s, f)
			if in.from == "" {
				continue
			}
			path = ""
			if i == len(forms)-1 { // the form with a path comes last
				path = in.values[0]
			}
		}
	}
	return path
}
