package policy

import (
	"fmt"
	"strconv"
	"time"

	"github.com/attune-go/attune"
)

// Fault is a mistake in one field of the rates or quotas of a document.
type Fault struct {
	Path    []string // the field: "rate", "0", "window"
	Message string   // without the field
}

// String returns the message with the field: "rate[0].window: 0s: use 1ms to 24h0m0s".
func (f Fault) String() string { return locate("", f.Path) + ": " + f.Message }

// CheckGates returns the mistakes in the rates and quotas of a document of a scope. Without a scope, it does not check what depends on
// the scope. It does not read the expressions of keys and costs: package rules does.
func CheckGates(p attune.Policy, scope Scope) []Fault {
	c := gateCheck{scope: scope, names: map[string]string{}}
	c.count("rate", len(p.Rate))
	c.count("quota", len(p.Quota))
	for i, rate := range p.Rate {
		c.at = []string{"rate", strconv.Itoa(i)}
		c.rate(rate)
	}
	for i, quota := range p.Quota {
		c.at = []string{"quota", strconv.Itoa(i)}
		c.quota(quota)
	}
	c.countStarts(p.Rate)
	return c.faults
}

type gateCheck struct {
	scope  Scope
	at     []string          // of the gate
	names  map[string]string // the places of the names so far
	faults []Fault
}

func (c *gateCheck) fault(path []string, format string, args ...any) {
	c.faults = append(c.faults, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// wrong reports a field of the gate.
func (c *gateCheck) wrong(field, format string, args ...any) {
	c.fault([]string{c.at[0], c.at[1], field}, format, args...)
}

func (c *gateCheck) count(list string, n int) {
	if n > attune.MaxGates {
		c.fault([]string{list}, "%d entries: use at most %d", n, attune.MaxGates)
	}
}

// countStarts checks how many rates of starts a level has.
func (c *gateCheck) countStarts(rates []attune.Rate) {
	n := 0
	for _, rate := range rates {
		if rate.Method == attune.RateDelay {
			n++
		}
	}
	if n > attune.MaxStartRates {
		c.fault([]string{"rate"}, "%d rates delay: use at most %d", n, attune.MaxStartRates)
	}
}

func (c *gateCheck) name(name string) {
	if err := attune.ValidateName(c.at[0], name); err != nil {
		c.wrong("name", "%s", err)
		return
	}
	if first, taken := c.names[name]; taken {
		c.wrong("name", "%q is taken by %s: rates and quotas of a document need different names", name, first)
		return
	}
	c.names[name] = locate("", c.at)
}

func (c *gateCheck) number(field string, value, least, most int) {
	if value < least || value > most {
		c.wrong(field, "%d: use %d to %d", value, least, most)
	}
}

func (c *gateCheck) rate(r attune.Rate) {
	c.name(r.Name)
	mostUnits, longest := attune.MaxRateLimit, attune.MaxRateWindow
	switch r.Method {
	case "", attune.RateReject:
	case attune.RateDelay:
		mostUnits, longest = attune.MaxStartRateLimit, attune.MaxStartWindow
		c.delay(r)
	default:
		c.wrong("method", "%q: use %q or %q", attune.Shorten(string(r.Method), 40), attune.RateReject, attune.RateDelay)
	}
	c.number("limit", r.Limit, 1, mostUnits)
	switch window := time.Duration(r.Window); {
	case window < time.Millisecond || window > longest:
		c.wrong("window", "%s: use 1ms to %s", window, longest)
	case window%time.Millisecond != 0:
		c.wrong("window", "%s: use whole milliseconds", window)
	}
	c.expressions(r.Key, r.Cost)
}

// delay checks what a rate cannot have that delays starts.
func (c *gateCheck) delay(r attune.Rate) {
	if c.scope != "" && c.scope != ScopeAction && c.scope != ScopeQueue {
		c.wrong("method", "a rate of scope %s cannot delay, because its queues do not know each other's starts: use %q, "+
			"or delay in the policy of an action or a queue", c.scope, attune.RateReject)
	}
	if r.Key != "" {
		c.wrong("key", "a rate that delays has no key: use limit_per_key, or the method %q", attune.RateReject)
	}
	if r.Cost != "" {
		c.wrong("cost", "a rate that delays counts starts: leave the cost out, or use the method %q", attune.RateReject)
	}
}

func (c *gateCheck) quota(q attune.Quota) {
	c.name(q.Name)
	c.number("limit", q.Limit, 0, attune.MaxQuotaLimit)
	switch q.Period {
	case attune.PeriodHour, attune.PeriodDay, attune.PeriodWeek, attune.PeriodMonth:
	default:
		c.wrong("period", "%q: use %q, %q, %q or %q", attune.Shorten(string(q.Period), 40),
			attune.PeriodHour, attune.PeriodDay, attune.PeriodWeek, attune.PeriodMonth)
	}
	if _, err := Zone(q.Timezone); err != nil {
		c.wrong("timezone", "%s", err)
	}
	c.expressions(q.Key, q.Cost)
}

// expressions checks the sizes of a key and a cost.
func (c *gateCheck) expressions(key, cost string) {
	c.expression("key", key)
	c.expression("cost", cost)
}

func (c *gateCheck) expression(field, text string) {
	if len(text) > maxKeyExpression {
		c.wrong(field, "has %d bytes: use at most %d", len(text), maxKeyExpression)
	}
}
