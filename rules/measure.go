package rules

import (
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// measure counts the parts of values as trees: a value at two places counts twice, because every visit of the tree visits it
// twice. The measurement stops when the count reaches stop. So it takes no longer than the operation that it is for.
type measure struct {
	stop    uint64 // in steps
	nodes   uint64 // values, including the values inside lists, maps and optionals
	doubles uint64 // floating point numbers among the nodes
	numbers uint64 // numbers of a decoded document among the nodes, integers and floating point
	text    uint64 // bytes of texts and of bytes values
}

// weigh returns the weight of values in steps: one per value, and one per [bytesPerStep] of text. The result is exact below
// stop.
func weigh(stop uint64, values ...ref.Val) uint64 {
	m := measure{stop: stop}
	for _, value := range values {
		m.add(value)
	}
	return m.steps()
}

// lesserWeight returns the smaller of two weights. It raises the limit of both measurements step by step, so the time depends on
// the smaller value only.
func lesserWeight(stop uint64, a, b ref.Val) uint64 {
	for limit := uint64(64); ; limit *= 4 {
		limit = min(limit, stop)
		if least := min(weigh(limit, a), weigh(limit, b)); least < limit || limit == stop {
			return least
		}
	}
}

func (m *measure) steps() uint64 { return m.nodes + m.text/bytesPerStep }

func (m *measure) done() bool { return m.steps() >= m.stop }

// add counts a value of CEL or of a decoded payload.
func (m *measure) add(value any) {
	m.nodes++
	switch v := value.(type) {
	case string:
		m.text += uint64(len(v))
	case types.String:
		m.text += uint64(len(v))
	case types.Bytes:
		m.text += uint64(len(v))
	case int64, uint64:
		m.numbers++
	case float64:
		m.numbers++
		m.doubles++
	case types.Double:
		m.doubles++
	case []any:
		addAll(m, v)
	case map[string]any:
		m.addObject(v)
	case *types.Optional:
		if v.HasValue() {
			m.add(v.GetValue())
		}
	case traits.Mapper:
		m.addMap(v)
	case traits.Lister:
		m.addList(v)
	case ref.Val:
		if view, ok := v.Value().(eventView); ok {
			m.add(view.Payload)
		}
	}
}

func addAll[V any](m *measure, values []V) {
	for i := 0; i < len(values) && !m.done(); i++ {
		m.add(values[i])
	}
}

func (m *measure) addObject(members map[string]any) {
	for key, value := range members {
		if m.done() {
			return
		}
		m.add(key)
		m.add(value)
	}
}

func (m *measure) addMap(v traits.Mapper) {
	if members, ok := v.Value().(map[string]any); ok {
		m.addObject(members)
		return
	}
	for it := v.Iterator(); !m.done() && it.HasNext() == types.True; {
		key := it.Next()
		m.add(key)
		m.add(v.Get(key))
	}
}

func (m *measure) addList(v traits.Lister) {
	switch items := v.Value().(type) {
	case []any:
		addAll(m, items)
	case []ref.Val:
		addAll(m, items)
	default:
		for it := v.Iterator(); !m.done() && it.HasNext() == types.True; {
			m.add(it.Next())
		}
	}
}
