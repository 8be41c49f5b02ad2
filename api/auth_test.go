package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

func TestRoles(t *testing.T) {
	t.Parallel()

	t.Run("a denial names the role that is needed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		problem := requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/queues/shop.deploy/pause", "", []string{b.as(auth.RoleViewer)}}),
			403, "forbidden")
		require.Equal(t, "some viewer has the role viewer: this request needs the role operator or admin", problem.Detail)
		problem = requireProblem(t, b.do(t, request{http.MethodGet, "/api/v1/events", "", []string{b.as("")}}), 403, "forbidden")
		require.Equal(t, "some  has no role: this request needs the role viewer, operator or admin", problem.Detail)
	})

	t.Run("a token that cannot be checked is not called wrong", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		problem := requireProblem(t, b.do(t, request{http.MethodGet, "/api/v1/events", "", []string{"Authorization: Bearer unchecked"}}),
			503, "unavailable")
		require.Equal(t, "the database does not answer", problem.Detail)
		require.Contains(t, b.log.String(), "hunter2", "the log has the cause")
	})

	t.Run("a caller of the role event sends events of its triggers only", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		header := []string{b.as(auth.RoleEvent, "github.push", "github.tag")}
		require.Equal(t, http.StatusAccepted,
			b.do(t, request{http.MethodPost, "/api/v1/events", `{"trigger": "github.push", "payload": {}}`, header}).Code)
		require.Equal(t, "some event", b.recorder.only(t).Author.Principal.Name, "the principal is the author")
		recorder := b.do(t, request{http.MethodPost, "/api/v1/events", `{"trigger": "github.issue", "payload": {}}`, header})
		problem := requireProblem(t, recorder, 403, "forbidden")
		require.Equal(t, "the token of some event is for other triggers than github.issue: it may send events of github.push, github.tag",
			problem.Detail)
		requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/actions/shop.deploy/run", `{}`, header}), 403, "forbidden")
	})

	t.Run("every authenticated caller learns who it is", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, role := range auth.Roles() {
			recorder := b.do(t, request{http.MethodGet, "/api/v1/whoami", "", []string{b.as(role, "github.push")}})
			require.Equal(t, http.StatusOK, recorder.Code, role)
			requireJSON(t, `{"principal": {"name": "some `+string(role)+`", "method": "token"}, "role": "`+string(role)+`",
				"token": "abcdefgh", "triggers": ["github.push"]}`, recorder)
		}
		requireJSON(t, `{"principal": {"name": "admin", "method": "token"}, "role": "admin"}`, b.do(t, get("/api/v1/whoami")))
		requireJSON(t, `{"principal": {"name": "some ", "method": "token"}, "token": "abcdefgh"}`,
			b.do(t, request{http.MethodGet, "/api/v1/whoami", "", []string{b.as("")}}))
	})

	t.Run("the author of a change is its principal", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		header := []string{b.as(auth.RoleOperator)}
		require.Equal(t, http.StatusOK,
			b.do(t, request{http.MethodPost, "/api/v1/rules/github.deploy/enable", `{"on_behalf_of": "ada"}`, header}).Code)
		require.Equal(t, attune.Author{
			Principal: attune.Principal{Name: "some operator", Method: attune.AuthToken}, OnBehalfOf: "ada",
		}, b.rules.changes[0].Author)
	})
}
