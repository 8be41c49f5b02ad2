package attune

import (
	"slices"
	"strings"
)

// CommonEnv lists the environment variables of a worker that every action may see.
func CommonEnv() []string { return []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"} }

// EnvGrant allows the actions of a pack to see a variable of the worker's environment.
type EnvGrant struct {
	Pack string // "*" means every pack
	Name string // of the variable; "*" at the end stands for any rest, also an empty one
}

// ParseEnvGrant reads a grant of the form pack=NAME. Another form is a [CodeInvalid] error.
func ParseEnvGrant(text string) (EnvGrant, error) {
	pack, name, found := strings.Cut(text, "=")
	grant := EnvGrant{Pack: pack, Name: name}
	if !found || grant.Pack != anyPack && ValidateName("pack", grant.Pack) != nil || !isEnvPattern(grant.Name) {
		return EnvGrant{}, Errorf(CodeInvalid, "%q: use pack=NAME; the pack * means every pack, and NAME may end with *", text)
	}
	return grant, nil
}

const anyPack, anyRest = "*", "*"

// isEnvPattern reports whether text is the name of a variable, or the beginning of one and a "*".
func isEnvPattern(text string) bool {
	name := strings.TrimSuffix(text, anyRest)
	letter := func(r rune) bool { return r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }
	for i, r := range name {
		if !letter(r) && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return text != ""
}

// Allows reports whether the grant covers a variable for the actions of a pack.
func (g EnvGrant) Allows(pack, name string) bool {
	if g.Pack != anyPack && g.Pack != pack {
		return false
	}
	beginning, isPattern := strings.CutSuffix(g.Name, anyRest)
	return name == g.Name || isPattern && strings.HasPrefix(name, beginning)
}

// String returns the form that [ParseEnvGrant] reads.
func (g EnvGrant) String() string { return g.Pack + "=" + g.Name }

// EnvGrants are the grants of a worker.
type EnvGrants []EnvGrant

// Allow reports whether the actions of a pack may see a variable. Every action may see those of [CommonEnv].
func (all EnvGrants) Allow(pack, name string) bool {
	return slices.Contains(CommonEnv(), name) ||
		slices.ContainsFunc(all, func(g EnvGrant) bool { return g.Allows(pack, name) })
}

// MissingEnv is a variable that an action asks for and no grant covers.
type MissingEnv struct {
	Action Ref
	Name   string
}

// Grant returns the narrowest grant that covers the variable for the action.
func (m MissingEnv) Grant() EnvGrant { return EnvGrant{Pack: m.Action.Pack(), Name: m.Name} }

// Missing lists the variables that the actions of a pack ask for and no grant covers, in the order of the pack.
func (all EnvGrants) Missing(pack Pack) []MissingEnv {
	var missing []MissingEnv
	for _, action := range pack.Actions {
		for _, name := range action.Env {
			if !all.Allow(pack.Name, name) {
				missing = append(missing, MissingEnv{action.Ref, name})
			}
		}
	}
	return missing
}
