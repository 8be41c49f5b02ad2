package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// leaver sends changes, and closes its connections without reading the answers.
type leaver struct {
	*cluster

	path, body string // of the n-th change
	made       string // the names of the changes that were made, as SQL
}

// leaveAfterSending sends a request, and closes the connection after a random time up to the limit. The name is the id of the request.
func (l leaver) leaveAfterSending(n int, name string, limit time.Duration) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(l.t.Context(), "tcp", l.addr)
	if err != nil {
		return err
	}
	method, path, _ := strings.Cut(strings.ReplaceAll(l.path, "NAME", name), " ")
	body := strings.NewReplacer("NAME", name, "NUMBER", fmt.Sprint(n+1)).Replace(l.body)
	_, err = fmt.Fprintf(conn, "%s /api/v1%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Request-Id: %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, token, name, len(body), body)
	stay, cancel := context.WithTimeout(l.t.Context(), rand.N(limit))
	defer cancel()
	<-stay.Done()
	_ = conn.Close()
	return err
}

// TestAudit_CallersThatLeave sends changes of three kinds over connections that end at random moments. The audit log has at most one row
// for each, and the row says whether the change was made.
func TestAudit_CallersThatLeave(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	c.env = append(c.env, "ATTUNE_SECRETS_KEY="+newKey(), "ATTUNE_HTTP_CALLER_RATE=0")
	c.start()
	require.NoError(t, c.change("e2e.step", "pause"), "the first change of a queue starts its workflow")

	requests := size(40, 400)
	kinds := map[string]leaver{
		"TOKEN":  {c, "POST /tokens", `{"name":"NAME","role":"viewer"}`, `SELECT lower(name) FROM tokens`},
		"SECRET": {c, "PUT /secrets/NAME", `{"value":"swordfish-swordfish","packs":["e2e"]}`, `SELECT lower(name) FROM secrets`},
		"LIMIT":  {c, "PUT /queues/e2e.step/limit", `{"limit":NUMBER,"note":"NAME"}`, `SELECT lower(note) FROM queue_changes WHERE note <> ''`},
	}
	nameOf := func(kind string, n int) string {
		if kind == "TOKEN" {
			return fmt.Sprintf("token-%d", n)
		}
		return fmt.Sprintf("%s_%d", kind, n)
	}
	var callers errgroup.Group
	for kind, l := range kinds {
		callers.Go(func() error {
			for n := range requests {
				if err := l.leaveAfterSending(n, nameOf(kind, n), 60*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, callers.Wait())

	db, err := pgx.Connect(t.Context(), c.variable("ATTUNE_POSTGRES_URL"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })
	c.eventually("every request has ended", func() bool {
		ended := 0.0
		for _, route := range []string{"/tokens", "/secrets/{name}", "/queues/{key}/limit"} {
			ended += c.metric("attune_http_request_duration_seconds_count", `route="/api/v1`+route+`"`)
		}
		return int(ended) == len(kinds)*requests
	})
	for kind, l := range kinds {
		made := map[string]bool{}
		for _, name := range texts(t, db, l.made) {
			made[name] = true
		}
		for n := range requests {
			name := nameOf(kind, n)
			statuses := texts(t, db, `SELECT coalesce(status::text, 'none') FROM audit WHERE request_id = $1`, name)
			require.LessOrEqual(t, len(statuses), 1, "%s: %v", name, statuses)
			recorded := len(statuses) == 1 && statuses[0] < "300"
			require.Equal(t, made[strings.ToLower(name)], recorded, "a change is made and recorded, or neither: %s with the rows %v", name, statuses)
		}
		require.NotEmpty(t, made, kind)
	}
}

// texts returns the column of a query.
func texts(t *testing.T, db *pgx.Conn, sql string, arguments ...any) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), sql, arguments...)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}
