package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// hostile returns payloads at the size limit: one or two large texts, patterns, lists of short and of longer elements, and for
// loops a text and a list.
func hostile() map[string]string {
	text := strings.Repeat("x", attune.MaxPayloadBytes/2-100)
	fill := func(item string) string {
		return strings.TrimSuffix(strings.Repeat(item+",", (attune.MaxPayloadBytes-200)/(len(item)+1)), ",")
	}
	return map[string]string{
		forLoops:   `{"a": "` + text + `", "b": "x", "l": [` + fill("0")[:attune.MaxPayloadBytes/2-1] + `]}`,
		"text":     `{"a": "` + text + text + `", "b": "x", "l": []}`,
		"texts":    `{"a": "` + text + `", "b": "` + text + `", "l": ["x"]}`,
		"patterns": `{"a": "` + text + `", "b": "` + strings.Repeat(`(x*)*|x{900}|`, 500) + `y", "l": ["(x+x+)+y"]}`,
		"numbers":  `{"a": "x", "b": "", "l": [` + fill("0") + `]}`,
		"doubles":  `{"a": "%s%s%f%e", "b": "y", "l": [` + fill("1e308") + `]}`,
		"words":    `{"a": ",", "b": "word", "l": [` + fill(`"a word of text"`) + `]}`,
		"objects":  `{"a": "k", "b": "v", "l": [` + fill(`{"k":["v"]}`) + `]}`,
		"escapes":  `{"a": "` + strings.Repeat(`\u0007`, attune.MaxPayloadBytes/6-100) + `", "b": "` + `\u0007` + `", "l": [1]}`,
	}
}

const forLoops = "text and numbers"

// attacks returns calls of every function with arguments or results larger than a number. The payload has texts a and b and a
// list l. "@" is the place of the inner call in nested calls; in the innermost call it is payload.a.
func attacks() map[string][]string {
	return map[string][]string{
		"_+_": {
			`@ + @`, `@ + payload.b`, `payload.a + payload.a + payload.a + payload.a`, `payload.l + payload.l`, `bytes(@) + bytes(@)`,
			`payload.l.map(x, payload.a + string(x))`, `[payload.l, payload.l] + [payload.l]`,
			`cel.bind(a, payload.l + payload.l, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, d + d))))`,
		},
		"_==_":     {`payload.l.all(x, payload.l == payload.l)`, `payload.a == payload.b`, `payload.l.exists(x, payload == payload && false)`},
		"_!=_":     {`payload.l.exists(x, [] != payload.l && false)`, `payload.l.exists(x, payload != payload)`},
		"_<_":      {`payload.l.exists(x, payload.a < payload.a)`},
		"_<=_":     {`payload.l.all(x, payload.a <= payload.a)`},
		"_>_":      {`payload.l.exists(x, payload.a > payload.a)`},
		"_>=_":     {`payload.l.all(x, payload.a >= payload.a)`},
		"hasValue": {`payload.l.all(x, optional.of(payload).hasValue(payload))`},
		"@in":      {`payload.l.all(x, x in payload.l)`, `payload.l.exists(x, payload.a in payload && false)`, `payload.l.exists(x, [x] in payload.l)`},

		"contains":   {`payload.a.contains(payload.b)`, `payload.l.all(x, payload.a.contains("y"))`},
		"startsWith": {`payload.l.all(x, payload.a.startsWith(payload.a))`},
		"endsWith":   {`payload.l.all(x, payload.a.endsWith(payload.a))`},
		"size":       {`payload.l.exists(x, payload.a.size() == x)`, `size(payload.l + payload.l)`},
		"bool":       {`payload.l.exists(x, bool(payload.a))`},
		"int":        {`payload.l.exists(x, int(payload.a) == 0)`},
		"uint":       {`payload.l.exists(x, uint(payload.a) == 0u)`},
		"double":     {`payload.l.exists(x, double(payload.a) == 0.0)`},
		"duration":   {`payload.l.exists(x, duration(payload.a) == duration("1s"))`},
		"timestamp":  {`payload.l.exists(x, timestamp(payload.a) == event.received_at)`},
		"indexOf":    {`payload.a.indexOf(payload.b)`, `payload.l.exists(x, payload.a.indexOf("y") == 0)`},
		"lastIndexOf": {
			`payload.a.lastIndexOf(payload.b)`, `payload.l.exists(x, payload.a.lastIndexOf("xy") == 0)`,
		},

		"charAt":        {`payload.l.all(x, payload.a.charAt(0) == "x")`},
		"substring":     {`payload.l.map(x, payload.a.substring(1))`},
		"trim":          {`payload.l.map(x, (payload.a + " ").trim())`},
		"lowerAscii":    {`payload.l.map(x, payload.a.lowerAscii())`, `@.lowerAscii()`},
		"upperAscii":    {`payload.l.map(x, payload.a.upperAscii())`, `@.upperAscii()`},
		"string":        {`payload.l.map(x, string(bytes(payload.a)))`, `string(bytes(@))`, `payload.l.map(x, string(x))`},
		"bytes":         {`payload.l.map(x, bytes(payload.a))`, `bytes(payload.a)`},
		"base64.encode": {`base64.encode(bytes(@))`, `payload.l.map(x, base64.encode(bytes(payload.a)))`},
		"base64.decode": {`base64.decode(payload.a)`, `payload.l.map(x, base64.decode(payload.a))`},
		"strings.quote": {`strings.quote(@)`, `payload.l.map(x, strings.quote(payload.a))`},
		"replace":       {`@.replace("x", payload.a)`, `@.replace("", payload.b)`, `payload.a.replace("x", payload.a, 5)`, `@.replace("x", "xx")`},
		"split":         {`payload.a.split("")`, `payload.a.split(payload.b)`, `payload.l.map(x, payload.a.split(""))`},
		"join":          {`[@, @, @].join(payload.a)`, `payload.l.map(x, string(x)).join(payload.b)`, `payload.l.map(x, payload.a).join()`, `payload.l.join(payload.a)`},
		"format":        {`"%s%s%s".format([@, @, @])`, `payload.a.format(payload.l)`, `"%s".format([payload.l])`, `"%s".format([payload])`, `"%X".format([@])`, `"%.99999999f".format([1.0])`},
		"matches":       {`payload.a.matches(payload.b)`, `payload.a.matches("(x|y)*z")`, `payload.l.all(x, payload.a.matches("(x*)*y"))`, `payload.a.matches(payload.a)`},
		"regex.extract": {`regex.extract(payload.a, payload.b)`, `payload.l.map(x, regex.extract(payload.a, ".*"))`},
		"regex.replace": {`regex.replace(@, "", payload.b)`, `regex.replace(@, "(.*)", "\\1\\1\\1\\1")`, `regex.replace(payload.a, "x*y|x", "z")`, `regex.replace(payload.a, "()()()()()()()()", "")`},
		"regex.extractAll": {
			`regex.extractAll(payload.a, "")`, `regex.extractAll(payload.a, "x")`, `regex.extractAll(payload.a, "x*y|x")`,
			`regex.extractAll(payload.a, payload.b)`,
		},

		"lists.range": {`lists.range(1000000)`, `lists.range(9223372036854775807)`, `payload.l.map(x, lists.range(1000))`},
		"flatten": {
			`payload.l.map(x, [x, x]).flatten()`, `[payload.l, payload.l].flatten(5)`,
			`cel.bind(a, [1, 1], cel.bind(b, [a, a], cel.bind(c, [b, b], cel.bind(d, [c, c], [d, d]))))` + `.flatten(9)`,
		},
		"slice":                 {`payload.l.map(x, (payload.l + [1]).slice(0, 1))`},
		"reverse":               {`@.reverse()`, `payload.l.map(x, payload.l.reverse())`},
		"distinct":              {`payload.l.distinct()`, `payload.l.map(x, [x]).distinct()`, `payload.l.map(x, payload.l.distinct())`},
		"sort":                  {`payload.l.sort()`, `payload.l.map(x, payload.l.sort())`},
		"@sortByAssociatedKeys": {`payload.l.sortBy(x, x)`, `payload.l.sortBy(x, payload.a)`},
		"optional.unwrap":       {`optional.unwrap(payload.l.map(x, optional.of(payload)))`},
		"unwrapOpt":             {`payload.l.map(x, optional.of(x)).unwrapOpt()`, `payload.l.map(x, payload.l.map(y, optional.of(y)).unwrapOpt())`},
		"math.@max":             {`math.greatest(payload.l)`, `payload.l.map(x, math.greatest(payload.l))`},
		"math.@min":             {`math.least(payload.l)`, `payload.l.map(x, math.least(payload.l))`},
		"sets.contains":         {`sets.contains(payload.l, payload.l)`, `payload.l.all(x, sets.contains(payload.l, [x]))`},
		"sets.equivalent":       {`sets.equivalent(payload.l, payload.l)`},
		"sets.intersects":       {`sets.intersects(payload.l, ["none"])`, `sets.intersects(payload.l, payload.l.map(x, [x]))`},
		"hasAll":                {`payload.l.hasAll(payload.l)`},
		"hasAny":                {`payload.l.hasAny(payload.l.map(x, [x]))`},
		"hasExactly":            {`payload.l.hasExactly(payload.l)`},
		"hasOnly":               {`payload.l.hasOnly(payload.l)`},
	}
}

// loops returns expressions without expensive calls: literals, index operations, macros, nested comprehensions.
func loops() []string {
	return []string{
		`payload.l.all(x, payload.l.filter(y, false).size() == 0)`, `payload.l.map(x, payload.l.filter(y, false))`,
		`payload.l.all(x, payload.l.all(y, payload.l.all(z, true)))`, `payload.l.exists_one(x, payload.l.exists_one(y, true))`,
		`payload.l.map(x, payload)`, `payload.l.map(x, [payload, payload, payload])`, `payload.l.map(x, {"k": event})`,
		`payload.l.exists(x, payload[payload.a] == 1)`, `payload.l.exists(x, .payload[payload.a] == 1)`,
		`payload.l.exists(x, payload[?payload.a].hasValue())`, `payload.l.exists(x, {payload.a: x}[payload.a] == 1)`,
		`payload.l.exists(x, event.received_at.getHours("Europe/Berlin") == 25)`,
		`cel.bind(a, [payload, payload], cel.bind(b, [a, a], cel.bind(c, [b, b], cel.bind(d, [c, c], d == d))))`,
		`cel.bind(a, {"k": payload.l}, cel.bind(b, {"k": a, "m": a}, cel.bind(c, {"k": b, "m": b}, payload[dyn(c)])))`,
	}
}

// harmless returns the names of functions that take only numbers, or that return an argument unchanged.
func harmless(t *testing.T) []string {
	t.Helper()
	nothing := slices.Concat(operatorNames(), scalarNames(), optionalNames())
	for name := range pricings() {
		if strings.HasPrefix(name, "get") { // the time zone is in loops
			nothing = append(nothing, name)
		}
	}
	return append(nothing, "in", "_in_") // other names of @in
}

func TestPricings_EveryFunctionHasAPriceAndAnAttack(t *testing.T) {
	t.Parallel()
	language, err := newLanguage()
	require.NoError(t, err)
	attacked := append(slices.Collect(maps.Keys(attacks())), harmless(t)...)
	for name := range language.env.Functions() {
		require.Contains(t, pricings(), name, "the function needs a price in pricings")
		require.Contains(t, attacked, name, "the function needs an attack in attacks")
	}
	for name := range pricings() {
		require.Contains(t, language.env.Functions(), name, "the price of an unknown function")
	}
}

// TestEngine_Decide_EveryFunctionIsBounded does not run in parallel: it measures the memory of the process. A loop uses
// all its steps, which is slow. So loops get fewer steps and only one payload.
func TestEngine_Decide_EveryFunctionIsBounded(t *testing.T) {
	engine, err := NewEngine()
	require.NoError(t, err)
	expressions := loops()
	for _, name := range slices.Sorted(maps.Keys(attacks())) {
		for _, attack := range attacks()[name] {
			expressions = append(expressions, nested(attack)...)
		}
	}
	for name, payload := range hostile() {
		require.LessOrEqual(t, len(payload), attune.MaxPayloadBytes)
		view, mistakes := newEventView(attune.Event{Trigger: "demo.event", Payload: json.RawMessage(payload)}, covers{})
		require.Empty(t, mistakes)
		for _, expression := range expressions {
			switch loop := strings.Contains(expression, "payload.l.") || strings.HasPrefix(expression, "lists.range(300)"); {
			case !loop:
				requireBounded(t, engine, name, view, expression, maxSteps)
			case name == forLoops:
				requireBounded(t, engine, name, view, expression, maxSteps/10)
			}
		}
	}
}

// nested returns an attack on the payload, up to three nested calls of it, and a loop with the attack.
func nested(attack string) []string {
	once := strings.ReplaceAll(attack, "@", "payload.a")
	if strings.Contains(once, "payload.l.") {
		return []string{once} // a loop already
	}
	if once == attack {
		return []string{once, fmt.Sprintf(`lists.range(300).map(i, %s)`, once)}
	}
	twice := strings.ReplaceAll(attack, "@", once)
	return []string{once, twice, strings.ReplaceAll(attack, "@", twice), fmt.Sprintf(`lists.range(300).map(i, %s)`, once)}
}

// requireBounded evaluates an expression as a parameter. It checks that the steps, the memory and the result are bounded.
func requireBounded(t *testing.T, engine *Engine, name string, view eventView, expression string, limit uint64) {
	t.Helper()
	parameters, err := json.Marshal(map[string]string{"v": "{{ " + expression + " }}"})
	require.NoError(t, err)
	rule := attune.Rule{Ref: "demo.rule", Parameters: parameters}
	meter, err := newMeter("rule", limit)
	require.NoError(t, err)
	in := evaluation{view: view, meter: meter}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	decision := engine.decideMatch(t.Context(), in, attune.Candidate{Rule: rule})
	runtime.ReadMemStats(&after)

	message := fmt.Sprintf("%s with payload %q: %s", attune.Shorten(expression, 200), name, decision.Detail)
	require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20), message)
	require.LessOrEqual(t, len(decision.Parameters), attune.MaxPayloadBytes, message)
	if decision.Status == attune.EnforcementCreated {
		require.LessOrEqual(t, in.meter.tracker.ActualCost(), limit, message)
		return
	}
	require.Equal(t, attune.ReasonParametersInvalid, decision.Reason, message)
	require.NotEmpty(t, decision.Detail, message)
	require.NotContains(t, decision.Detail, "internal error", message)
}
