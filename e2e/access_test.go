package e2e_test

import (
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/oidc/issuertest"
)

// as returns a client of the cluster's API with another token.
func (c *cluster) as(token string) *client.Client { return client.New(c.base, token) }

// issue creates or rotates a token.
func (c *cluster) issue(path string, body any) api.IssuedToken {
	c.t.Helper()
	var issued api.IssuedToken
	require.NoError(c.t, c.Post(c.t.Context(), path, body, &issued))
	return issued
}

// statusOf returns the HTTP status of a request that failed, or 200.
func statusOf(err error) int {
	if problem, ok := errors.AsType[*client.ProblemError](err); ok {
		return problem.Status
	}
	if err != nil {
		return 0
	}
	return http.StatusOK
}

// whoami returns the status of a request with a token, and the caller that attune sees.
func (c *cluster) whoami(token string) (int, api.Identity) {
	c.t.Helper()
	var found api.Identity
	err := c.as(token).Get(c.t.Context(), "/whoami", nil, &found)
	return statusOf(err), found
}

// A token is rotated again and again while callers use it: no request fails.
func TestAccess_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	c := newCluster(t, outcomesPack())
	c.env = append(c.env, "ATTUNE_HTTP_CALLER_RATE=0", "ATTUNE_HTTP_FAILURE_RATE=0") // this test is about tokens, and sends what it can
	c.start("--roles=api")
	first := c.issue("/tokens", api.NewToken{Name: "ops", Role: auth.RoleOperator})
	var current atomic.Pointer[string]
	current.Store(&first.Value)

	stop := make(chan struct{})
	var group sync.WaitGroup
	var failed, served atomic.Int64
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, _ := c.whoami(*current.Load()); status != http.StatusOK {
					failed.Add(1)
				}
				served.Add(1)
			}
		})
	}
	for range 5 {
		before := served.Load()
		c.eventually("the secret is used", func() bool { return served.Load() > before+20 })
		current.Store(new(c.issue("/tokens/ops/rotate", api.TokenRotation{KeepOld: "1h"}).Value))
	}
	last := served.Load()
	c.eventually("the last secret is used", func() bool { return served.Load() > last+20 })
	close(stop)
	group.Wait()
	require.Zero(t, failed.Load(), "of %d requests", served.Load())

	replaced := *current.Load()
	kept := c.issue("/tokens/ops/rotate", api.TokenRotation{KeepOld: "0s"}).Value
	c.eventually("the earlier secrets are refused", func() bool {
		one, _ := c.whoami(first.Value)
		other, _ := c.whoami(replaced)
		return one == http.StatusUnauthorized && other == http.StatusUnauthorized
	})
	status, ops := c.whoami(kept)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, api.Identity{
		Principal: attune.Principal{Name: "ops", Method: attune.AuthToken}, Role: auth.RoleOperator, Token: kept[4:12],
	}, ops)

	require.NoError(t, c.Post(t.Context(), "/tokens/ops/revoke", api.Attribution{}, nil))
	c.eventually("the token is refused", func() bool {
		status, _ := c.whoami(kept)
		return status == http.StatusUnauthorized
	})
	again := c.issue("/tokens", api.NewToken{Name: "ops", Role: auth.RoleViewer})
	status, ops = c.whoami(again.Value)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, auth.RoleViewer, ops.Role)
}

// Every change has its principal as its author, also that of a JSON web token, and an entry in the audit log.
func TestAccess_Authors(t *testing.T) {
	t.Parallel()
	issuer := issuertest.Start(t)
	c := newCluster(t, outcomesPack())
	c.env = append(c.env, "ATTUNE_OIDC_ISSUER="+issuer.URL, "ATTUNE_OIDC_AUDIENCE=attune", "ATTUNE_OIDC_ROLES=ops=operator",
		"ATTUNE_OIDC_NAME_CLAIM=email")
	c.start()
	ada := attune.Principal{Name: "ada@example.com", Method: attune.AuthOIDC}
	person := c.as(issuer.Token(t, "attune", map[string]any{"email": ada.Name, "roles": "ops"}))
	because := api.Attribution{Note: "a test"}

	require.NoError(t, person.Post(t.Context(), "/queues/e2e.good/pause", because, nil))
	changes := c.changesOf("e2e.good")
	require.Equal(t, ada, changes[0].Principal)

	require.NoError(t, person.Post(t.Context(), "/rules/e2e.on/disable", because, nil))
	var rules api.List[attune.RuleChange]
	require.NoError(t, c.Get(t.Context(), "/rules/e2e.on/changes", nil, &rules))
	require.Equal(t, ada, rules.Items[0].Principal)

	var run api.Run
	require.NoError(t, person.Post(t.Context(), "/actions/e2e.good/run", map[string]any{}, &run))
	var event attune.Event
	require.NoError(t, c.Get(t.Context(), "/events/1", nil, &event))
	require.Equal(t, ada, event.Author.Principal)

	require.Equal(t, http.StatusForbidden, statusOf(person.Get(t.Context(), "/audit", nil, nil)))
	hook := c.as(c.issue("/tokens", api.NewToken{Name: "hook", Role: auth.RoleEvent, Triggers: []attune.Ref{"e2e.push"}}).Value)
	push := map[string]any{"trigger": "e2e.push", "payload": map[string]any{"branch": "other"}}
	require.NoError(t, hook.Post(t.Context(), "/events", push, nil))
	require.NoError(t, c.Get(t.Context(), "/events/2", nil, &event))
	require.Equal(t, attune.Principal{Name: "hook", Method: attune.AuthToken}, event.Author.Principal)
	push["trigger"] = "core.manual"
	require.Equal(t, http.StatusForbidden, statusOf(hook.Post(t.Context(), "/events", push, nil)))

	var log api.List[auth.AuditEntry]
	require.NoError(t, c.Get(t.Context(), "/audit", url.Values{"limit": {"10"}}, &log))
	var seen []auth.AuditEntry
	for _, entry := range log.Items {
		require.NotEmpty(t, entry.RequestID)
		require.Equal(t, "127.0.0.1", entry.Remote)
		seen = append(seen, auth.AuditEntry{
			Principal: entry.Principal, Role: entry.Role, Action: entry.Action, Subject: entry.Subject, Note: entry.Note, Status: entry.Status,
		})
	}
	require.Equal(t, []auth.AuditEntry{
		{Principal: &attune.Principal{Name: "hook", Method: attune.AuthToken}, Role: auth.RoleEvent, Action: "event.post", Subject: "core.manual", Status: 403},
		{Principal: &attune.Principal{Name: "bootstrap", Method: attune.AuthToken}, Role: auth.RoleAdmin, Action: "token.create", Subject: "hook", Status: 201},
		{Principal: &ada, Role: auth.RoleOperator, Action: "rule.disable", Subject: "e2e.on", Note: "a test", Status: 200},
		{Principal: &ada, Role: auth.RoleOperator, Action: "queue.pause", Subject: "e2e.good", Note: "a test", Status: 200},
	}, seen)
}
