package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// maxClaimDepth bounds how deep claims may be nested. Issuers nest two or three levels.
const maxClaimDepth = 20

// claimSet is the claims of a token. A claim has exactly its name: AUD is not aud.
type claimSet map[string]json.RawMessage

// parseClaims reads the claims of a token. It refuses two claims with the same name, on every level: RFC 7519 (section 4) asks for names
// that are unique, because otherwise two readers of one token can see different claims.
func parseClaims(payload []byte) (claimSet, error) {
	claims, err := members(payload)
	if err != nil {
		return nil, fmt.Errorf("read the claims: %w", err)
	}
	return claims, nil
}

// registered returns the claims that the verification of a token reads (RFC 7519, section 4.1), as JSON.
func (c claimSet) registered() ([]byte, error) {
	read := maps.Clone(c)
	maps.DeleteFunc(read, func(name string, _ json.RawMessage) bool {
		return !slices.Contains([]string{"iss", "aud", "exp", "nbf", "iat", "sub"}, name)
	})
	return json.Marshal(read)
}

// values returns all claims.
func (c claimSet) values() (map[string]any, error) { return objectOf(c, 1) }

func objectOf(c claimSet, depth int) (map[string]any, error) {
	object := make(map[string]any, len(c))
	for name, raw := range c {
		value, err := valueOf(raw, depth+1)
		if err != nil {
			return nil, err
		}
		object[name] = value
	}
	return object, nil
}

func valueOf(raw json.RawMessage, depth int) (any, error) {
	switch {
	case depth > maxClaimDepth:
		return nil, fmt.Errorf("claims are nested more than %d levels deep", maxClaimDepth)
	case raw[0] == '{':
		inner, err := members(raw)
		if err != nil {
			return nil, err
		}
		return objectOf(inner, depth)
	case raw[0] == '[':
		return listOf(raw, depth)
	}
	var value any
	err := json.Unmarshal(raw, &value)
	return value, err
}

func listOf(raw json.RawMessage, depth int) ([]any, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, err
	}
	list := make([]any, 0, len(elements))
	for _, element := range elements {
		value, err := valueOf(element, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}

// members returns the members of a JSON object, each by its exact name. [json.Unmarshal] into a struct would ignore case, and the last
// of several members with one name would count.
func members(data []byte) (claimSet, error) {
	if !json.Valid(data) {
		return nil, errors.New("they are not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("they are not a JSON object")
	}
	found := claimSet{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string) // a member of valid JSON begins with a string
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("the claim %q is there twice", name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		found[name] = value
	}
	return found, nil
}
