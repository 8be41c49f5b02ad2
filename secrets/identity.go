package secrets

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/attune-go/attune"
)

// identity returns what the encryption of a row is bound to.
func identity(row attune.EncryptedRow) []string {
	return append([]string{string(row.Table)}, row.Bound...)
}

// secretIdentity binds the value of a secret to its name and grants: the database alone cannot give a secret to another pack.
func secretIdentity(s attune.Secret) []string {
	return identity(attune.EncryptedRow{Table: attune.EncryptedSecrets, Bound: append([]string{s.Name}, s.Packs...)})
}

// enforcementIdentity binds the secret parameters of an enforcement to its event, rule and action. The rule is 0 for a direct run.
func enforcementIdentity(event attune.EventID, rule attune.RuleID, action attune.ActionID) []string {
	return identity(attune.EncryptedRow{Table: attune.EncryptedEnforcements, Bound: []string{
		strconv.FormatInt(int64(event), 10), strconv.FormatInt(int64(rule), 10), strconv.FormatInt(int64(action), 10),
	}})
}

// EncryptParameters encrypts the secret parameters of an enforcement. The rule is 0 for a direct run. Without fields it returns "".
func (k *Keyring) EncryptParameters(
	event attune.EventID, rule attune.RuleID, action attune.ActionID, fields []attune.SecretField,
) (string, error) {
	if len(fields) == 0 {
		return "", nil
	}
	encoded, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("encode secret fields: %w", err)
	}
	return k.Encrypt(encoded, enforcementIdentity(event, rule, action)...)
}

// DecryptParameters decrypts what EncryptParameters encrypted.
func (k *Keyring) DecryptParameters(
	event attune.EventID, rule attune.RuleID, action attune.ActionID, encrypted string,
) ([]attune.SecretField, error) {
	if encrypted == "" {
		return nil, nil
	}
	encoded, err := k.Decrypt(encrypted, enforcementIdentity(event, rule, action)...)
	if err != nil {
		return nil, err
	}
	var fields []attune.SecretField
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, fmt.Errorf("decode the secret parameters: %w", err)
	}
	return fields, nil
}
