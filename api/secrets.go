package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/secrets"
)

// SecretVault keeps secrets. No method returns a value. A secret that does not exist is an [attune.CodeNotFound] error, and an
// installation without a key [attune.CodeUnavailable].
type SecretVault interface {
	// Set creates or changes a secret. Two changes at the same time are an [attune.CodeConflict] error.
	Set(ctx context.Context, change secrets.Change) (attune.Secret, error)
	// List returns the secrets, newest first.
	List(ctx context.Context, page attune.Page) ([]attune.Secret, error)
	Remove(ctx context.Context, name string) error
	// Rotate encrypts some of the values again: see [secrets.Vault.Rotate].
	Rotate(ctx context.Context, from string) (secrets.Rotation, error)
}

// SecretChange is the body of PUT /api/v1/secrets/{name}.
type SecretChange struct {
	Attribution
	Value *string   `json:"value,omitempty" doc:"The value, 4 bytes to 32 KiB; without it, the value stays. It is never shown again"`
	Packs *[]string `json:"packs,omitempty" doc:"The packs whose actions may ask for the secret; without them, the packs stay"`
}

// ChangedSecret is a secret after a change.
type ChangedSecret struct {
	attune.Secret

	Warnings []string `json:"warnings,omitempty" doc:"What looks like a mistake in the request, such as a pack that is not installed"`
}

// KeyRotation is the body of POST /api/v1/secrets/rotate-key.
type KeyRotation struct {
	Attribution
	From string `json:"from,omitempty" maxLength:"100" doc:"The value of next of the previous response; absent to begin"`
}

// SecretPath is a path with the name of a secret. It is exported because the framework reads only exported fields.
type SecretPath struct {
	Name string `path:"name" doc:"The name of the secret: the environment variable that an action gets"`
}

// maxPosition bounds the position of a rotation, in bytes.
const maxPosition = 100

type setSecretInput struct {
	SecretPath
	Body SecretChange
}

type removeSecretInput struct {
	SecretPath
	Body *Attribution
}

type rotateKeyInput struct{ Body *KeyRotation }

func (s *Server) registerSecrets() {
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "list-secrets", Method: http.MethodGet, Path: "/secrets", Tags: []string{"secrets"},
		Summary: "List secrets, newest first, without their values",
	}, s.listSecrets)
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "set-secret", Method: http.MethodPut, Path: "/secrets/{name}", Tags: []string{"secrets"},
		Summary: "Create or change a secret", Errors: []int{http.StatusConflict},
	}, s.setSecret)
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "remove-secret", Method: http.MethodDelete, Path: "/secrets/{name}", Tags: []string{"secrets"},
		Summary: "Remove a secret with its value", DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound},
	}, s.removeSecret)
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "rotate-secrets-key", Method: http.MethodPost, Path: "/secrets/rotate-key", Tags: []string{"secrets"},
		Summary: "Encrypt values with the first key; repeat with next until it is absent",
	}, s.rotateKey)
}

func (s *Server) listSecrets(ctx context.Context, in *Paging) (*response[List[attune.Secret]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Secrets.List(ctx, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(secret attune.Secret) int64 { return secret.ID }, identity[attune.Secret]), nil
}

func (s *Server) setSecret(ctx context.Context, in *setSecretInput) (*response[ChangedSecret], error) {
	if err := attune.CheckSecretName(in.Name); err != nil {
		return nil, err
	}
	author, err := in.Body.author(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := s.deps.Secrets.Set(ctx, secrets.Change{Name: in.Name, Value: in.Body.Value, Packs: in.Body.Packs, Author: author})
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a secret was set", "secret", secret.Name, "packs", secret.Packs, "revision", secret.Revision,
		"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	changed := ChangedSecret{Secret: secret}
	if in.Body.Packs != nil {
		changed.Warnings = s.unknownPacks(ctx, *in.Body.Packs)
	}
	return &response[ChangedSecret]{Body: changed}, nil
}

func (s *Server) removeSecret(ctx context.Context, in *removeSecretInput) (*struct{}, error) {
	author, err := in.Body.author(ctx)
	if err != nil {
		return nil, err
	}
	if err := attune.CheckSecretName(in.Name); err != nil {
		return nil, attune.Errorf(attune.CodeNotFound, "%s", err)
	}
	if err := s.deps.Secrets.Remove(ctx, in.Name); err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a secret was removed", "secret", in.Name,
		"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	return nil, nil //nolint:nilnil // the response has no body
}

func (s *Server) rotateKey(ctx context.Context, in *rotateKeyInput) (*response[secrets.Rotation], error) {
	body := KeyRotation{}
	if in.Body != nil {
		body = *in.Body
	}
	author, err := body.author(ctx)
	if err != nil {
		return nil, err
	}
	if err := attune.CheckText("body.from", body.From, maxPosition); err != nil {
		return nil, err
	}
	done, err := s.deps.Secrets.Rotate(ctx, body.From)
	if err != nil {
		return nil, err
	}
	if done.Moved > 0 {
		s.logger.InfoContext(ctx, "encrypted values have another key now", "moved", done.Moved, "key", done.Key,
			"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	}
	return &response[secrets.Rotation]{Body: done}, nil
}
