package secrets

import (
	"context"
	"fmt"
	"slices"

	"github.com/attune-go/attune"
)

// Named finds secrets by name.
type Named interface {
	// SecretsNamed returns those of the named secrets that exist.
	SecretsNamed(ctx context.Context, names []string) ([]attune.EncryptedSecret, error)
}

// Resolver decrypts what attempts need.
type Resolver struct {
	keys  *Keyring
	store Named
}

// NewResolver returns a resolver.
func NewResolver(keys *Keyring, store Named) *Resolver { return &Resolver{keys: keys, store: store} }

// Resolve completes the inputs of the granted claims: with the values of the secrets that are granted to the pack of the action, and
// with the secret parameters in clear text. An input gets a reason in SecretsError, and no secret at all, if one of its secrets does not
// exist, is not granted to the pack, or cannot be decrypted. An error of the store is returned; then the inputs are incomplete.
func (r *Resolver) Resolve(ctx context.Context, decisions []attune.ClaimDecision) error {
	var names []string
	for _, d := range decisions {
		if d.Reply.Granted {
			names = append(names, d.Demand.Names...)
		}
	}
	slices.Sort(names)
	stored := make(map[string]attune.EncryptedSecret)
	if len(names) > 0 {
		found, err := r.store.SecretsNamed(ctx, slices.Compact(names))
		if err != nil {
			return err
		}
		for _, s := range found {
			stored[s.Name] = s
		}
	}
	for i := range decisions {
		if d := &decisions[i]; d.Reply.Granted {
			if err := r.complete(&d.Input, d.Demand, stored); err != nil {
				d.Input.Secrets, d.Input.SecretParameters, d.Input.SecretsError = nil, nil, err.Error()
			}
		}
	}
	return nil
}

// complete completes one input.
func (r *Resolver) complete(input *attune.ExecutionInput, demand attune.SecretDemand, stored map[string]attune.EncryptedSecret) error {
	for _, name := range demand.Names {
		value, err := r.value(input.Action, name, stored)
		if err != nil {
			return err
		}
		if input.Secrets == nil {
			input.Secrets = make(map[string]string, len(demand.Names))
		}
		input.Secrets[name] = value
	}
	fields, err := r.keys.DecryptParameters(demand.Event, demand.Rule, input.Action, demand.Encrypted)
	if err != nil {
		return fmt.Errorf("the secret parameters of enforcement %d: %w", input.Enforcement, err)
	}
	full, err := Uncover(input.Parameters, fields)
	if err != nil {
		return fmt.Errorf("the secret parameters of enforcement %d: %w", input.Enforcement, err)
	}
	for _, f := range fields {
		input.SecretParameters = append(input.SecretParameters, f.Pointer)
	}
	input.Parameters = full
	return nil
}

// value returns the value of a secret for an action.
func (r *Resolver) value(action attune.Ref, name string, stored map[string]attune.EncryptedSecret) (string, error) {
	secret, exists := stored[name]
	pack := action.Pack()
	switch {
	case !exists:
		return "", fmt.Errorf("action %q asks for the secret %q, which does not exist: set it with: attune secret set %s --pack %s",
			action, name, name, pack)
	case !slices.Contains(secret.Packs, pack):
		return "", fmt.Errorf("action %q asks for the secret %q, which is not granted to pack %q: grant it with: "+
			"attune secret set %s --keep-value --pack %s, beside the packs that have it already", action, name, pack, name, pack)
	}
	value, err := r.keys.Decrypt(secret.Encrypted, secretIdentity(secret.Secret)...)
	if err != nil {
		return "", fmt.Errorf("action %q asks for the secret %q: %w", action, name, err)
	}
	return string(value), nil
}
