package secrets

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/attune-go/attune"
)

// minLineBytes is the least length of a line of a value that is masked by itself.
const minLineBytes = 8

// forms returns the texts by which a value is found: the value as it is, its long lines, and its encodings. A form shorter than
// [attune.MinSecretBytes] is none.
func forms(value string) []form {
	var found []string
	found = append(found, value)
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) >= minLineBytes {
				found = append(found, line)
			}
		}
	}
	encoded := hex.EncodeToString([]byte(value))
	found = append(found, encoded, strings.ToUpper(encoded))
	found = append(found, percentForms(value)...)
	found = append(found, jsonForms(value)...)
	all := base64Forms(value)
	for _, text := range found {
		all = append(all, form{text: []byte(text)})
	}
	return slices.DeleteFunc(all, func(f form) bool { return len(f.text) < attune.MinSecretBytes })
}

// percentForms returns a value as a part of a URL, with both cases of its hexadecimal digits.
func percentForms(value string) []string {
	var found []string
	for _, form := range []string{url.QueryEscape(value), url.PathEscape(value), percentAll(value)} {
		found = append(found, form, lowerEscapes(form))
	}
	return found
}

// percentAll encodes every byte except letters, digits and "-._~", as most programs do.
func percentAll(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// lowerEscapes writes the hexadecimal digits of percent-encoding in lower case.
func lowerEscapes(text string) string {
	out := []byte(text)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:i+3], bytes.ToLower(out[i+1:i+3]))
		}
	}
	return string(out)
}

// jsonForms returns a value as the content of a JSON string: as Go and other programs escape it, and in ASCII.
func jsonForms(value string) []string {
	var found []string
	for _, html := range []bool{false, true} {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(html)
		if err := encoder.Encode(value); err == nil {
			text := strings.Trim(strings.TrimSpace(b.String()), "\n")
			text = text[1 : len(text)-1]
			found = append(found, text, asciiOnly(text), strings.ReplaceAll(text, "/", `\/`))
		}
	}
	return found
}

// asciiOnly writes characters outside of ASCII as JSON escapes.
func asciiOnly(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// base64Forms returns the characters that a value alone determines in base64, for each of the three places that it can have in the
// encoded text, and the whole encoding with its padding. "user:password" in base64 contains such a form of the password. The
// characters beside a form can hold bits of the value, together with bits of what is before or after it: the form has such edges.
func base64Forms(value string) []form {
	const bits = 6 // of a character
	var found []form
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		found = append(found, form{text: []byte(encoding.EncodeToString([]byte(value)))})
		for before := range 3 {
			text := encoding.EncodeToString(slices.Concat(make([]byte, before), []byte(value)))
			from, to := before*8, (before+len(value))*8 // the bits of the value
			first := (from + bits - 1) / bits           // the character that holds the first bits of the value alone
			after := to / bits                          // the character that holds bits of what follows
			one := form{text: []byte(text[first:after])}
			if from%bits != 0 {
				one.edges |= leading
			}
			if to%bits != 0 {
				one.edges |= trailing
			}
			found = append(found, one)
		}
	}
	return found
}
