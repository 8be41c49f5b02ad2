package config

import (
	"fmt"
	"slices"
	"strings"
)

// Validate reports what the roles of this process need and nobody gave. The error is an attune.CodeInvalid that lists
// everything missing and the three places to set it.
func (c Config) Validate() error {
	needs := []struct {
		setting string
		given   bool
		by      []Role
		example string
	}{
		{"postgres.url", c.PostgresURL.IsSet(), []Role{RoleAPI, RoleOrchestrator, RoleBridge}, "postgres://attune@127.0.0.1:5432/attune"},
		{"amqp.url", c.AMQPURL.IsSet(), []Role{RoleOrchestrator, RoleBridge, RoleWorker}, "amqp://attune@127.0.0.1:5672/"},
		{"http.token", c.APIToken.IsSet(), []Role{RoleAPI}, "the output of \"openssl rand -hex 32\""},
	}
	var problems []string
	for _, need := range needs {
		wanting := slices.DeleteFunc(need.by, func(role Role) bool { return !c.Has(role) })
		if need.given || len(wanting) == 0 {
			continue
		}
		problems = append(problems, fmt.Sprintf("%s is not set and %s needs it: set %s, for example to %s",
			need.setting, roleList(wanting), Ways(need.setting), need.example))
	}
	return report(problems)
}

func roleList(roles []Role) string {
	if len(roles) == 1 {
		return "the role " + string(roles[0])
	}
	return "each of the roles " + joinRoles(roles)
}

// Ways says where a setting can be set, for messages: "--flag or VARIABLE or key in the settings file". It is empty for a name
// that no setting has.
func Ways(name string) string {
	for _, s := range Settings() {
		if s.Name != name {
			continue
		}
		var all []string
		if s.Flag != "" {
			all = append(all, "--"+s.Flag)
		}
		all = append(all, s.Env)
		if s.Secret {
			all = append(all, s.fileEnv())
		}
		return strings.Join(append(all, name+" in the settings file"), " or ")
	}
	return ""
}
