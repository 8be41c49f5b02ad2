package rabbitmq

import "encoding/binary"

// readable reports whether the library can read an encoded table: it has known types only, and tables and lists are not nested deeper than
// depth. An empty text is no table, and readable.
func readable(table []byte, depth int) bool {
	if len(table) == 0 {
		return true
	}
	rest, ok := skipTable(table, depth)
	return ok && len(rest) == 0
}

// skipTable returns what follows a table.
func skipTable(data []byte, depth int) ([]byte, bool) {
	entries, rest, ok := long(data)
	for ok && len(entries) > 0 {
		name := 1 + int(entries[0])
		if name > len(entries) {
			return nil, false
		}
		entries, ok = skipField(entries[name:], depth)
	}
	return rest, ok
}

func skipList(data []byte, depth int) ([]byte, bool) {
	fields, rest, ok := long(data)
	for ok && len(fields) > 0 {
		fields, ok = skipField(fields, depth)
	}
	return rest, ok
}

// skipField returns what follows a field: a type and a value.
func skipField(data []byte, depth int) ([]byte, bool) {
	if len(data) == 0 || depth == 0 {
		return nil, false
	}
	kind, value := data[0], data[1:]
	switch kind {
	case 'F':
		return skipTable(value, depth-1)
	case 'A':
		return skipList(value, depth-1)
	case 'S', 'x':
		_, rest, ok := long(value)
		return rest, ok
	}
	size, known := map[byte]int{
		'V': 0, 't': 1, 'B': 1, 'b': 1, 's': 2, 'u': 2, 'I': 4, 'i': 4, 'f': 4, 'D': 5, 'l': 8, 'd': 8, 'T': 8,
	}[kind]
	if !known || size > len(value) {
		return nil, false
	}
	return value[size:], true
}

// long splits data after a text with a length of 4 bytes.
func long(data []byte) (text, rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	size := int64(binary.BigEndian.Uint32(data))
	if size > int64(len(data)-4) {
		return nil, nil, false
	}
	return data[4 : 4+size], data[4+size:], true
}
