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

// eventIdentity binds the secret fields of an event to its id and trigger.
func eventIdentity(event attune.EventID, trigger attune.Ref) []string {
	return identity(attune.EncryptedRow{Table: attune.EncryptedEvents, Bound: []string{
		strconv.FormatInt(int64(event), 10), string(trigger),
	}})
}

// enforcementIdentity binds the secret parameters of an enforcement to its event, its rule and the reference of its action: the database
// alone cannot give them to another action. The rule is 0 for a direct run. The digest of the action is not a part, because a new version
// of a pack may run what waits.
func enforcementIdentity(event attune.EventID, rule attune.RuleID, action attune.Ref) []string {
	return identity(attune.EncryptedRow{Table: attune.EncryptedEnforcements, Bound: []string{
		strconv.FormatInt(int64(event), 10), strconv.FormatInt(int64(rule), 10), string(action),
	}})
}

// EncryptPayload encrypts the secret fields of an event's payload. Without fields it returns "".
func (k *Keyring) EncryptPayload(event attune.EventID, trigger attune.Ref, fields []attune.SecretField) (string, error) {
	return k.encryptFields(fields, eventIdentity(event, trigger))
}

// EncryptParameters encrypts the secret parameters of an enforcement. The rule is 0 for a direct run. Without fields it returns "".
func (k *Keyring) EncryptParameters(
	event attune.EventID, rule attune.RuleID, action attune.Ref, fields []attune.SecretField,
) (string, error) {
	return k.encryptFields(fields, enforcementIdentity(event, rule, action))
}

func (k *Keyring) encryptFields(fields []attune.SecretField, identity []string) (string, error) {
	if len(fields) == 0 {
		return "", nil
	}
	encoded, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("encode secret fields: %w", err)
	}
	return k.Encrypt(encoded, identity...)
}

// DecryptParameters decrypts what EncryptParameters encrypted.
func (k *Keyring) DecryptParameters(
	event attune.EventID, rule attune.RuleID, action attune.Ref, encrypted string,
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
