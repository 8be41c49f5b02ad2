package rules

import (
	"encoding/json"
	"strconv"

	"cel.dev/cel-go/common/cost"
)

// maxCompiledBytes bounds the estimated memory of a compiled schema, and of all compiled templates of one rule.
const maxCompiledBytes = 16 << 20

// Memory of a compiled schema, in bytes. The library compiles every object and boolean of a schema that a keyword or reference
// reaches, and keeps its JSON pointer several times.
const (
	bytesPerSchema   = 6000
	bytesPerByte     = 20 // for the text of the schema
	bytesPerPart     = 3000
	bytesOfPointer   = 8 // for each byte of a pointer
	bytesPerInstruct = 60
)

// decodeSchema decodes a JSON Schema, and estimates the memory of the compiled schema. A schema that needs more than
// maxCompiledBytes is a mistake.
func decodeSchema(raw json.RawMessage) (document any, bytes int, mistakes Mistakes) {
	if len(raw) > maxCompiledBytes/bytesPerByte {
		return nil, 0, schemaTooLarge()
	}
	document, mistakes = decode(raw)
	if mistakes != nil {
		return nil, 0, mistakes
	}
	estimate := cost.SafeAdd(bytesPerSchema, uint64(len(raw)*bytesPerByte), compiledBytes(document, 0))
	if estimate > maxCompiledBytes {
		return nil, 0, schemaTooLarge()
	}
	return document, int(estimate), nil
}

func schemaTooLarge() Mistakes {
	return mistakeAt(nil, "the compiled schema needs more than %d MiB of memory: use fewer parts, shorter keys and simpler patterns",
		maxCompiledBytes>>20)
}

// compiledBytes estimates the memory of a value in a schema. pointer is the length of the pointer to the value.
func compiledBytes(value any, pointer int) uint64 {
	const slash = 1
	bytes := uint64(0)
	switch v := value.(type) {
	case bool:
		bytes = uint64(bytesPerPart + bytesOfPointer*pointer)
	case []any:
		for i, item := range v {
			bytes = cost.SafeAdd(bytes, compiledBytes(item, pointer+slash+len(strconv.Itoa(i))))
		}
	case map[string]any:
		bytes = uint64(bytesPerPart + bytesOfPointer*pointer)
		for key, member := range v {
			bytes = cost.SafeAdd(bytes, patternBytes(key, member), compiledBytes(member, pointer+slash+len(key)))
		}
	}
	return bytes
}

// patternBytes estimates the memory of the compiled regular expressions of a keyword.
func patternBytes(keyword string, value any) uint64 {
	instructions := uint64(0)
	switch v := value.(type) {
	case string:
		if keyword == "pattern" {
			instructions = sizeOf(v)
		}
	case map[string]any:
		if keyword == "patternProperties" {
			for pattern := range v {
				instructions = cost.SafeAdd(instructions, sizeOf(pattern))
			}
		}
	}
	return cost.SafeMultiply(instructions, bytesPerInstruct)
}
