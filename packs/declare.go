package packs

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

// Forms of names that attune does not define itself.
var (
	envPattern     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	headerPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
	webhookPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
)

// trigger reads the declaration of a trigger.
func (d *draft) trigger(s *source, ref attune.Ref, n *node) {
	f := s.fieldsOf(fmt.Sprintf("trigger %q", ref.Name()), n)
	t := attune.Trigger{Ref: ref, Description: f.text("description"), Schema: f.schema("payload")}
	if hook := f.typed("webhook", kindMapping); hook != nil {
		t.Webhook = d.webhook(s.fieldsOf(fmt.Sprintf("webhook of trigger %q", ref.Name()), hook), ref)
	}
	f.done()
	d.pack.Triggers = append(d.pack.Triggers, t)
}

func (d *draft) webhook(f *fields, trigger attune.Ref) *attune.Webhook {
	w := &attune.Webhook{
		Key:         f.matching("key", webhookPattern, "letters, digits, '.', '_' or '-', at most 100"),
		SecretEnv:   f.matching("secret_env", envPattern, "the name of an environment variable"),
		DedupHeader: f.matching("dedup_header", headerPattern, "the name of a request header"),
	}
	f.require("key", "the last part of the URL to post to")
	f.require("secret_env", "the environment variable with the secret that signs the requests")
	f.done()
	if w.Key != "" {
		d.webhooks = append(d.webhooks, webhookUse{
			use: use{source: f.source, at: f.node.member("key").value.place}, key: w.Key, trigger: trigger,
		})
	}
	return w
}

// matching returns a text that matches a pattern; empty if the text is absent or does not match. form describes the pattern.
func (f *fields) matching(key string, pattern *regexp.Regexp, form string) string {
	n := f.typed(key, kindText)
	if n == nil {
		return ""
	}
	if !pattern.MatchString(n.text) {
		f.fault(n.place, "%s: %q has the wrong form: use %s", key, n.text, form)
		return ""
	}
	return n.text
}

// action reads the declaration of an action.
func (d *draft) action(s *source, ref attune.Ref, n *node) {
	f := s.fieldsOf(fmt.Sprintf("action %q", ref.Name()), n)
	description, command, env := f.text("description"), d.command(f), f.env()
	a := attune.Action{
		Ref:         ref,
		Description: description,
		Enabled:     true,
		Command:     command,
		Env:         env,
		Secrets:     f.secrets(env),
		Timeout:     f.timeout(),
		Pool:        f.pool(),
		Schema:      f.schema("parameters"),
		Limits:      f.limits(),
	}
	a.Policy = d.policy(f, owner{scope: policy.ScopeAction, ref: ref})
	f.done()
	d.pack.Actions = append(d.pack.Actions, a)
}

// command reads the argument vector of an action.
func (d *draft) command(f *fields) []string {
	f.require("command", "a list with the program and its arguments")
	var command []string
	for _, item := range f.texts("command") {
		command = append(command, item.text)
	}
	list := f.get("command")
	switch {
	case list == nil || list.kind != kindList:
	case len(list.items) == 0:
		f.fault(list.place, "command: the list is empty: name the program, then its arguments")
	case list.items[0].kind == kindText:
		if err := d.executable(list.items[0].text); err != nil {
			f.fault(list.items[0].place, "command: %s", err)
		}
	}
	return command
}

// env reads the names of the environment variables that an action may see.
func (f *fields) env() []string {
	var names []string
	for _, item := range f.texts("env") {
		switch {
		case !envPattern.MatchString(item.text):
			f.fault(item.place, "env: %q is not the name of an environment variable", item.text)
		case strings.HasPrefix(item.text, attune.ReservedEnv):
			f.fault(item.place, "env: %q is reserved: no action gets a variable whose name begins with %s, use another name",
				item.text, attune.ReservedEnv)
		default:
			names = append(names, item.text)
		}
	}
	return names
}

// secrets reads the names of the secrets that an action asks for. Each becomes an environment variable of the process, so it cannot be
// one that the process has already.
func (f *fields) secrets(env []string) []string {
	taken := append(attune.CommonEnv(), env...)
	var names []string
	for _, item := range f.texts("secrets") {
		switch err := attune.CheckSecretName(item.text); {
		case err != nil:
			f.fault(item.place, "secrets: %s", err)
		case slices.Contains(taken, item.text):
			f.fault(item.place, "secrets: the action has the environment variable %q already: name each once", item.text)
		default:
			names, taken = append(names, item.text), append(taken, item.text)
		}
	}
	return names
}

func (f *fields) timeout() time.Duration {
	timeout, n := f.duration("timeout")
	if timeout == nil {
		return attune.DefaultActionTimeout
	}
	if *timeout <= 0 {
		f.fault(n.place, "timeout: %s: use more than zero", *timeout)
	}
	return time.Duration(*timeout)
}

func (f *fields) pool() string {
	n := f.typed("pool", kindText)
	if n == nil {
		return attune.DefaultPool
	}
	if err := attune.ValidateName("pool", n.text); err != nil {
		f.fault(n.place, "%s", err)
	}
	return n.text
}

// limits reads what an attempt may use.
func (f *fields) limits() (limits attune.Limits) {
	n := f.typed("limits", kindMapping)
	if n == nil {
		return limits
	}
	inner := f.fieldsOf("limits", n)
	if memory := inner.sizeNode("memory"); memory != nil {
		err := limits.Memory.UnmarshalText([]byte(memory.text))
		if err == nil && limits.Memory < attune.MinMemoryLimit {
			err = fmt.Errorf("%s is too little: use %s or more", limits.Memory, attune.MinMemoryLimit)
		}
		if err != nil {
			inner.fault(memory.place, "memory: %s", err)
		}
	}
	if processes := inner.typed("processes", kindNumber); processes != nil {
		number, err := strconv.Atoi(processes.text)
		if err != nil || number < 1 || number > attune.MaxProcessesLimit {
			inner.fault(processes.place, "processes: %s: use a whole number from 1 to %d", processes.text, attune.MaxProcessesLimit)
		}
		limits.Processes = number
	}
	inner.done()
	return limits
}

// schema reads a JSON Schema in YAML.
func (f *fields) schema(key string) json.RawMessage {
	n := f.typed(key, kindMapping)
	if n == nil {
		return nil
	}
	schema := n.json()
	f.reportMistakes(key, n, rules.CheckSchema(schema))
	return schema
}

// reportMistakes reports the errors that package rules found in n, each at its own place in the file.
func (f *fields) reportMistakes(key string, n *node, err error) {
	if err == nil {
		return
	}
	found, ok := errors.AsType[*rules.CheckError](err)
	if !ok {
		f.fault(n.place, "%s: %s", key, err)
		return
	}
	for _, m := range found.Mistakes {
		at := n.follow(m.Path)
		f.fault(f.locate(at, m.Line, m.Column), "%s: %s", strings.Join(append([]string{key}, m.Path...), "."), m.Message)
	}
}

// rule reads the declaration of a rule.
func (d *draft) rule(s *source, ref attune.Ref, n *node) {
	f := s.fieldsOf(fmt.Sprintf("rule %q", ref.Name()), n)
	r := attune.Rule{Ref: ref, Description: f.text("description"), Enabled: f.boolean("enabled", true)}
	uses := ruleUse{use: use{source: s}, fields: f}
	r.Trigger, uses.trigger = f.reference("trigger", d.name)
	f.require("trigger", "the kind of event that the rule reacts to")
	r.Criteria = f.criteria()
	r.Action, uses.action = f.reference("action", d.name)
	f.require("action", "the action that the rule runs")
	if uses.parameters = f.typed("parameters", kindMapping); uses.parameters != nil {
		r.Parameters = uses.parameters.json()
		f.reportMistakes("parameters", uses.parameters, rules.CheckParameters(r.Parameters))
	}
	f.done()
	uses.rule = r
	d.uses = append(d.uses, uses)
	d.pack.Rules = append(d.pack.Rules, r)
}

// reference reads a reference in the form "pack.name", or "name" within the same pack.
func (f *fields) reference(key, pack string) (attune.Ref, *node) {
	n := f.typed(key, kindText)
	if n == nil {
		return "", nil
	}
	ref := attune.Ref(n.text)
	if !strings.Contains(n.text, ".") {
		ref = attune.NewRef(pack, n.text)
	}
	if err := ref.Validate(); err != nil {
		f.fault(n.place, "%s: %s", key, err)
		return "", nil
	}
	return ref, n
}

func (f *fields) criteria() string {
	n := f.typed("criteria", kindText)
	if n == nil || strings.TrimSpace(n.text) == "" {
		return ""
	}
	f.reportMistakes("criteria", n, rules.CheckCriteria(n.text))
	return strings.TrimSpace(n.text)
}
