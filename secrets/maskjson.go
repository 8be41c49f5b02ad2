package secrets

import (
	"bytes"
	"encoding/json"
)

// JSON returns a valid JSON text in which every secret value is [attune.SecretMask], in the decoded texts and keys: readers decode the
// escapes of a JSON text, and what they read must not be a value.
func (m *Masker) JSON(raw json.RawMessage) json.RawMessage {
	if m == nil || raw == nil {
		return raw
	}
	var masked []byte
	for len(raw) > 0 {
		begin := bytes.IndexByte(raw, '"')
		if begin < 0 {
			break
		}
		end := begin + quotedBytes(raw[begin:])
		masked = append(append(masked, raw[:begin]...), m.quoted(raw[begin:end])...)
		raw = raw[end:]
	}
	return append(masked, raw...)
}

// quotedBytes returns the length of the JSON string at the begin of a text, with its quotes.
func quotedBytes(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// quoted masks a JSON string. It returns the string unchanged if there is nothing to mask.
func (m *Masker) quoted(text []byte) []byte {
	var value string
	if err := json.Unmarshal(text, &value); err != nil {
		return text
	}
	shown := m.Text(value)
	if shown == value {
		return text
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(shown); err != nil {
		return text
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
