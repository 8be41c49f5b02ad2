package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/secrets"
)

// fakeVault records changes and answers with the secret TOKEN.
type fakeVault struct {
	changes []secrets.Change
	removed []string
	from    []string
	err     error
}

func (f *fakeVault) Set(_ context.Context, change secrets.Change) (attune.Secret, error) {
	f.changes = append(f.changes, change)
	return tokenSecret(), f.err
}

func (f *fakeVault) List(context.Context, attune.Page) ([]attune.Secret, error) {
	return []attune.Secret{tokenSecret()}, f.err
}

func (f *fakeVault) Remove(_ context.Context, name string) error {
	f.removed = append(f.removed, name)
	return f.err
}

func (f *fakeVault) Rotate(_ context.Context, from string) (secrets.Rotation, error) {
	f.from = append(f.from, from)
	return secrets.Rotation{Key: "0a1b2c3d", Moved: 2, Next: "events:0"}, f.err
}

func tokenSecret() attune.Secret {
	return attune.Secret{
		ID: 3, Name: "TOKEN", Packs: []string{"shop"}, Key: "0a1b2c3d", Revision: 2, At: noon,
		Author: attune.Author{Principal: attune.Principal{Name: "admin", Method: attune.AuthToken}, Note: "new"},
	}
}

const tokenSecretJSON = `{"id": 3, "name": "TOKEN", "packs": ["shop"], "key_id": "0a1b2c3d", "revision": 2,
	"principal": {"name": "admin", "method": "token"}, "note": "new", "updated_at": "2030-01-02T12:00:00Z"}`

func putToken(body string) request {
	return request{method: http.MethodPut, path: "/api/v1/secrets/TOKEN", body: body}
}

func TestSecrets(t *testing.T) {
	t.Parallel()

	t.Run("a secret is set, and neither response nor log has its value", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.actions.list = func(attune.Page) ([]attune.Action, error) { return []attune.Action{deployAction()}, nil }
		recorder := b.do(t, putToken(`{"value": "hunter2", "packs": ["shop"], "note": "new", "on_behalf_of": "ada"}`))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		requireJSON(t, tokenSecretJSON, recorder)
		require.Len(t, b.vault.changes, 1)
		change := b.vault.changes[0]
		require.Equal(t, "TOKEN", change.Name)
		require.Equal(t, "hunter2", *change.Value)
		require.Equal(t, []string{"shop"}, *change.Packs)
		require.Equal(t, "admin", change.Author.Principal.Name)
		require.Equal(t, "ada", change.Author.OnBehalfOf)
		require.Contains(t, b.log.String(), "a secret was set")
		require.NotContains(t, b.log.String(), "hunter2")
	})

	t.Run("value and packs are optional", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Equal(t, http.StatusOK, b.do(t, putToken(`{}`)).Code)
		require.Nil(t, b.vault.changes[0].Value)
		require.Nil(t, b.vault.changes[0].Packs)
	})

	t.Run("a pack that is not installed is a warning", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.actions.list = func(attune.Page) ([]attune.Action, error) { return []attune.Action{deployAction()}, nil }
		recorder := b.do(t, putToken(`{"packs": ["shop", "shpo"]}`))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		var changed api.ChangedSecret
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &changed))
		require.Len(t, changed.Warnings, 1)
		require.Contains(t, changed.Warnings[0], `no installed pack with the name "shpo" has an action`)
	})

	t.Run("the body of a refused request is not repeated", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, body := range []string{`{"value": ["hunter2"]}`, `{"value": "hunter2", "packs": "hunter2"}`, `{"value": "hunter2"`} {
			recorder := b.do(t, putToken(body))
			require.GreaterOrEqual(t, recorder.Code, 400)
			require.NotContains(t, recorder.Body.String(), "hunter2")
			require.NotContains(t, b.log.String(), "hunter2")
		}
		require.Empty(t, b.vault.changes)
	})

	t.Run("secrets are listed", func(t *testing.T) {
		t.Parallel()
		requireJSON(t, `{"items": [`+tokenSecretJSON+`]}`, setup(t).do(t, get("/api/v1/secrets")))
	})

	t.Run("a secret is removed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorder := b.do(t, request{method: http.MethodDelete, path: "/api/v1/secrets/TOKEN"})
		require.Equal(t, http.StatusNoContent, recorder.Code, recorder.Body.String())
		require.Empty(t, recorder.Body.String())
		require.Equal(t, []string{"TOKEN"}, b.vault.removed)
	})

	t.Run("a removal and a rotation record their note, and refuse unknown members", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		const author = `{"note": "leaked", "on_behalf_of": "ada"}`
		remove := func(body string) request {
			in := post("/api/v1/secrets/TOKEN", body)
			in.method = http.MethodDelete
			return in
		}
		require.Equal(t, http.StatusNoContent, b.do(t, remove(author)).Code)
		require.Equal(t, http.StatusOK, b.do(t, post("/api/v1/secrets/rotate-key", author)).Code)
		for _, entry := range b.audit.entries {
			require.Equal(t, "leaked", entry.Note)
			require.Equal(t, "ada", entry.OnBehalfOf)
		}
		require.Len(t, b.audit.entries, 2)
		require.Contains(t, b.log.String(), `msg="a secret was removed" secret=TOKEN author="admin for ada" note=leaked`)
		requireProblem(t, b.do(t, remove(`{"reason": "leaked"}`)), 422, "invalid")
		requireProblem(t, b.do(t, remove(`{"note": "a\nb"}`)), 422, "invalid")
		require.Equal(t, []string{"TOKEN"}, b.vault.removed)
	})

	t.Run("a rotation continues where the caller says", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireJSON(t, `{"key_id": "0a1b2c3d", "moved": 2, "failed": 0, "next": "events:0"}`, b.do(t, post("/api/v1/secrets/rotate-key", ``)))
		requireJSON(t, `{"key_id": "0a1b2c3d", "moved": 2, "failed": 0, "next": "events:0"}`,
			b.do(t, post("/api/v1/secrets/rotate-key", `{"from": "secrets:5"}`)))
		require.Equal(t, []string{"", "secrets:5"}, b.vault.from)
	})

	t.Run("errors of the vault have their status", func(t *testing.T) {
		t.Parallel()
		for code, status := range map[attune.Code]int{
			attune.CodeNotFound: 404, attune.CodeConflict: 409, attune.CodeInvalid: 422, attune.CodeUnavailable: 503,
		} {
			b := setup(t)
			b.vault.err = attune.Errorf(code, "the vault says no")
			for _, in := range []request{
				get("/api/v1/secrets"), putToken(`{}`),
				{method: http.MethodDelete, path: "/api/v1/secrets/TOKEN"}, post("/api/v1/secrets/rotate-key", `{}`),
			} {
				require.Contains(t, requireProblem(t, b.do(t, in), status, string(code)).Detail, "the vault says no")
			}
		}
	})
}
