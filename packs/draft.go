package packs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// draft is a pack that is being read, with the places of its references, webhook keys and keys of policies.
type draft struct {
	dir      string // as the caller named it, for messages
	pack     attune.Pack
	name     string // the name of the pack; "unnamed" if the name is missing or wrong
	report   report
	declared map[section]map[attune.Ref]place  // also declarations with errors, so that references to them are no further errors
	files    map[section]map[attune.Ref]string // the file of each declaration
	uses     []ruleUse
	keys     []keyUse
	joins    []joinUse
	policies []policyUse
	webhooks []webhookUse
}

// use is a place in a file that refers to a declaration or claims a webhook key.
type use struct {
	source *source
	at     place
}

type ruleUse struct {
	use
	rule                        attune.Rule
	fields                      *fields
	trigger, action, parameters *node // nil if absent or wrong
}

type webhookUse struct {
	use
	key     string
	trigger attune.Ref
}

// section is a kind of declaration: the key in pack.yaml and the name of the folder.
type section string

const (
	triggers section = "triggers"
	actions  section = "actions"
	queues   section = "queues"
	ruleset  section = "rules"
)

// singular is the word for one declaration of the section.
func (s section) singular() string { return strings.TrimSuffix(string(s), "s") }

// readDraft reads a pack from its folder. The errors are in the report of the draft.
func readDraft(dir string) *draft {
	d := &draft{
		dir:      dir,
		name:     "unnamed",
		declared: map[section]map[attune.Ref]place{triggers: {}, actions: {}, queues: {}, ruleset: {}},
		files:    map[section]map[attune.Ref]string{triggers: {}, actions: {}, queues: {}, ruleset: {}},
	}
	if err := d.checkFolder(); err != nil {
		d.report.add(dir, place{}, "%s", err)
		return d
	}
	s := readSource(filepath.Join(dir, "pack.yaml"), &d.report)
	if s.root == nil {
		return d
	}
	d.readPack(s)
	d.pack.Digest = digest(d.pack)
	return d
}

// checkFolder checks that the folder exists and holds a pack.yaml. It sets the absolute path of the pack.
func (d *draft) checkFolder() error {
	info, err := os.Stat(d.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such folder")
	case err != nil:
		return fmt.Errorf("cannot be read: %s", reason(err))
	case !info.IsDir():
		return errors.New("is not a folder: name the folder that holds pack.yaml")
	}
	if _, err := os.Stat(filepath.Join(d.dir, "pack.yaml")); errors.Is(err, fs.ErrNotExist) {
		return errors.New("is not a pack: it has no pack.yaml")
	}
	d.pack.Dir, err = filepath.Abs(d.dir)
	return err
}

// readPack reads pack.yaml and the folders beside it.
func (d *draft) readPack(s *source) {
	f := s.fieldsOf("pack", s.root)
	f.require("name", "the first half of every reference to the pack")
	if n := f.typed("name", kindText); n != nil {
		if err := attune.ValidateName("pack", n.text); err != nil {
			f.fault(n.place, "%s", err)
		} else {
			d.pack.Name, d.name = n.text, n.text
		}
	}
	d.pack.Version = f.text("version")
	d.pack.Description = f.text("description")
	d.pack.Policy = d.policy(f, owner{scope: policy.ScopePack, ref: attune.Ref(d.name)})
	for _, sec := range []section{triggers, actions, queues, ruleset} {
		if n := f.typed(string(sec), kindMapping); n != nil {
			for _, m := range n.members {
				d.declare(s, sec, m.key, m.at, m.value)
			}
		}
		d.readFolder(sec)
	}
	f.done()
}

// readFolder reads the files of a section: each holds one declaration.
func (d *draft) readFolder(sec section) {
	dir := filepath.Join(d.dir, string(sec))
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.report.add(dir, place{}, "cannot be read: %s", reason(err))
		}
		return
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		name, isYAML := strings.CutSuffix(entry.Name(), ".yaml")
		switch {
		case filepath.Ext(path) == ".yml":
			d.report.add(path, place{}, "would be ignored: rename it to %s.yaml", strings.TrimSuffix(entry.Name(), ".yml"))
		case isYAML:
			s := readSource(path, &d.report)
			d.declare(s, sec, name, place{}, s.root)
		}
	}
}

// declare reads one declaration. n is nil if its file could not be parsed.
func (d *draft) declare(s *source, sec section, name string, at place, n *node) {
	ref := attune.NewRef(d.name, name)
	if err := attune.NewRef("pack", name).Validate(); err != nil {
		s.fault(at, "%s name %q: use lower-case letters, digits, '_' or '-', starting with a letter", sec.singular(), name)
		return
	}
	if file, twice := d.files[sec][ref]; twice {
		s.fault(at, "%s %q is declared a second time: the first is in %s:%d", sec.singular(), name, file, max(1, d.declared[sec][ref].line))
		return
	}
	d.declared[sec][ref], d.files[sec][ref] = at, s.path
	if n == nil {
		return
	}
	switch sec {
	case triggers:
		d.trigger(s, ref, n)
	case actions:
		d.action(s, ref, n)
	case queues:
		d.queue(s, ref, n)
	case ruleset:
		d.rule(s, ref, n)
	}
}

// executable checks the program of a command. With a slash, the program must be an executable file of the pack. Without one, the
// worker looks the program up on its PATH.
func (d *draft) executable(program string) error {
	switch {
	case program == "":
		return errors.New("the program is empty")
	case !strings.Contains(program, "/"):
		return nil
	case filepath.IsAbs(program):
		return fmt.Errorf("%q is an absolute path: name a file of the pack by its path inside the pack, "+
			"or a program on the worker's PATH without a slash", program)
	case !filepath.IsLocal(program):
		return fmt.Errorf("%q is outside of the pack: name a file of the pack, or a program on the worker's PATH without a slash", program)
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return fmt.Errorf("the pack cannot be read: %s", reason(err))
	}
	defer root.Close()
	info, err := root.Stat(program)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%q does not exist in the pack", program)
	case err != nil:
		return fmt.Errorf("%q cannot be used: %s", program, reason(err))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is not a file", program)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%q is not executable: run chmod +x on it", program)
	}
	return nil
}

// declaredNames lists the names that a section declares, for messages.
func (d *draft) declaredNames(sec section) string {
	var names []string
	for ref := range d.declared[sec] {
		names = append(names, ref.Name())
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
