package rules

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/attune-go/attune"
)

var errTooLarge = fmt.Errorf("the result has more than %d bytes", attune.MaxPayloadBytes)

// encoder writes compact JSON of at most [attune.MaxPayloadBytes]. It checks the bound while it writes, because a small value can
// have a large JSON text: [a, a] with a = [b, b] and so on doubles with every level.
type encoder struct{ buf []byte }

// raw writes a part of a JSON text.
func (e *encoder) raw(text string) error {
	if len(e.buf)+len(text) > attune.MaxPayloadBytes {
		return errTooLarge
	}
	e.buf = append(e.buf, text...)
	return nil
}

// text writes a JSON string.
func (e *encoder) text(s string) error {
	quoted, err := quote(s)
	if err != nil {
		return err
	}
	return e.raw(quoted)
}

// quote returns s as a JSON string.
func quote(s string) (string, error) {
	if len(s) > attune.MaxPayloadBytes {
		return "", errTooLarge
	}
	return marshal(s)
}

// marshal returns the JSON text of a decoded value. It does not escape <, > and &.
func marshal(value any) (string, error) {
	var b strings.Builder
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	err := out.Encode(value)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// value writes the JSON form of a value.
func (e *encoder) value(v ref.Val) error {
	if s, ok := asText(v); ok {
		return e.text(s)
	}
	switch v := v.(type) {
	case types.Null:
		return e.raw("null")
	case types.Bool:
		return e.raw(strconv.FormatBool(bool(v)))
	case types.Int:
		return e.raw(strconv.FormatInt(int64(v), 10))
	case types.Uint:
		return e.raw(strconv.FormatUint(uint64(v), 10))
	case types.Double:
		return e.double(float64(v))
	case *types.Optional:
		return e.optional(v)
	case traits.Mapper:
		return e.object(v)
	case traits.Lister:
		return e.list(v)
	}
	if view, ok := v.Value().(eventView); ok {
		return e.event(view)
	}
	return fmt.Errorf("a %s has no JSON form", v.Type().TypeName())
}

// asText returns the text of a value whose JSON form is a string. ok is false for all other values.
func asText(v ref.Val) (string, bool) {
	switch v := v.(type) {
	case types.String:
		return string(v), true
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(v), true
	case types.Timestamp, types.Duration:
		s, ok := v.ConvertToType(types.StringType).(types.String)
		return string(s), ok
	default:
		return "", false
	}
}

func (e *encoder) double(f float64) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("the number %v has no JSON form", f)
	}
	return e.raw(string(text))
}

// optional writes the value inside an optional. An empty optional inside a value is null: only a template can omit it.
func (e *encoder) optional(v *types.Optional) error {
	if !v.HasValue() {
		return e.raw("null")
	}
	return e.value(v.GetValue())
}

func (e *encoder) list(v traits.Lister) error {
	separator := "["
	for it := v.Iterator(); it.HasNext() == types.True; separator = "," {
		if err := e.raw(separator); err != nil {
			return err
		}
		if err := e.value(it.Next()); err != nil {
			return err
		}
	}
	if separator == "[" {
		return e.raw("[]")
	}
	return e.raw("]")
}

func (e *encoder) object(v traits.Mapper) error {
	members := make(map[string]ref.Val)
	for it := v.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.ConvertToType(types.StringType).(types.String)
		if !ok {
			return fmt.Errorf("a %s cannot be a key in JSON", key.Type().TypeName())
		}
		if _, twice := members[string(name)]; twice {
			return fmt.Errorf("the key %q has two values", string(name))
		}
		members[string(name)] = v.Get(key)
	}
	return e.members(members)
}

func (e *encoder) event(view eventView) error {
	adapt := types.DefaultTypeAdapter.NativeToValue
	return e.members(map[string]ref.Val{
		"trigger": adapt(view.Trigger), "source": adapt(view.Source),
		"received_at": adapt(view.ReceivedAt), "payload": adapt(view.Payload),
	})
}

// members writes an object with sorted keys.
func (e *encoder) members(members map[string]ref.Val) error {
	separator := "{"
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if err := e.key(separator, key); err != nil {
			return err
		}
		if err := e.value(members[key]); err != nil {
			return err
		}
		separator = ","
	}
	if separator == "{" {
		return e.raw("{}")
	}
	return e.raw("}")
}

// key writes the separator, the key and the colon of a member.
func (e *encoder) key(separator, key string) error {
	if err := e.raw(separator); err != nil {
		return err
	}
	if err := e.text(key); err != nil {
		return err
	}
	return e.raw(":")
}
