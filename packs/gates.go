package packs

import (
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

// gates reads the rates and quotas of a policy.
func (d *draft) gates(f *fields, of owner, document *attune.Policy) {
	document.Rate = gateList(f, "rate", func(g *fields) attune.Rate {
		return attune.Rate{
			Name: g.text("name"), Limit: g.units("limit"), Window: g.window(), Method: attune.RateMethod(g.text("method")),
			Key: d.expression(g, "key", of), Cost: d.expression(g, "cost", of),
		}
	})
	document.Quota = gateList(f, "quota", func(g *fields) attune.Quota {
		return attune.Quota{
			Name: g.text("name"), Limit: g.units("limit"), Period: attune.QuotaPeriod(g.text("period")), Timezone: g.text("timezone"),
			Key: d.expression(g, "key", of), Cost: d.expression(g, "cost", of),
		}
	})
	reported := f.report.problems
	for _, fault := range policy.CheckGates(*document, of.scope) {
		if at := f.node.follow(fault.Path).place; !f.faulty(reported, at) {
			f.fault(at, "%s", fault)
		}
	}
}

// gateList reads a list of rates or quotas; nil if it is absent or wrong.
func gateList[T any](f *fields, key string, read func(*fields) T) []T {
	list := f.typed(key, kindList)
	if list == nil {
		return nil
	}
	gates := make([]T, len(list.items))
	for i, item := range list.items {
		g := f.fieldsOf(key+"["+strconv.Itoa(i)+"]", item)
		gates[i] = read(g)
		g.done()
	}
	return gates
}

// faulty reports whether one of the problems is that of the value at a place.
func (f *fields) faulty(problems []Problem, at place) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		return p.File == f.path && p.Line == at.line && p.Column == at.column
	})
}

// units returns a whole number, or 0 if it is absent or wrong.
func (f *fields) units(key string) int {
	n := f.typed(key, kindNumber)
	if n == nil {
		return 0
	}
	units, err := strconv.Atoi(n.text)
	if err != nil {
		f.fault(n.place, "%s: %s is not a whole number", key, n.text)
	}
	return units
}

func (f *fields) window() attune.Duration {
	window, _ := f.duration("window")
	if window == nil {
		return 0
	}
	return *window
}

// expression reads the key or the cost of a gate, checks what needs no schema, and remembers the use. A cost can be a number.
func (d *draft) expression(f *fields, key string, of owner) string {
	n := f.get(key)
	if n == nil {
		return ""
	}
	if key != "cost" || n.kind != kindNumber {
		n = f.typed(key, kindText)
	}
	if n == nil {
		return ""
	}
	check := rules.CheckKey
	if key == "cost" {
		check = rules.CheckCost
	}
	f.reportMistakes(key, n, check(n.text))
	d.keys = append(d.keys, keyUse{owner: of, fields: f, node: n, label: key, ofGate: true})
	return strings.TrimSpace(n.text)
}
