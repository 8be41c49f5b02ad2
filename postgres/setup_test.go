package postgres_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/postgres/postgrestest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// The declarations of the demo pack.
const (
	pushed   attune.Ref = "demo.pushed"
	onPush   attune.Ref = "demo.on-push"
	deploy   attune.Ref = "demo.deploy"
	notify   attune.Ref = "demo.notify"
	queueKey            = attune.QueueKey(deploy)
)

// lease is the lease of claims.
const lease = time.Minute

// bundle is a database with the core and the demo pack, and the types of the package on it.
type bundle struct {
	url          string
	db           *postgres.DB
	packs        *postgres.Packs
	events       *postgres.Events
	enforcements *postgres.Enforcements
	executions   executions
	queues       *postgres.Queues
	outbox       *postgres.Outbox
	tokens       *postgres.Tokens
}

func setup(t testing.TB) *bundle {
	t.Helper()
	url := postgrestest.URL(t)
	b := open(t, postgres.Config{URL: url, MaxConns: 24})
	b.url = url
	b.install(t, corePack(), demoPack())
	return b
}

// open returns a bundle for an existing database.
func open(t testing.TB, config postgres.Config) *bundle {
	t.Helper()
	db := postgrestest.Open(t, config)
	return &bundle{
		url: config.URL, db: db,
		packs: postgres.NewPacks(db), events: postgres.NewEvents(db), enforcements: postgres.NewEnforcements(db),
		executions: executions{postgres.NewExecutions(db)}, queues: postgres.NewQueues(db), outbox: postgres.NewOutbox(db),
		tokens: postgres.NewTokens(db),
	}
}

// executions claims the reported attempts that no worker has claimed, before it finishes them: only claimed attempts can end by a
// report.
type executions struct{ *postgres.Executions }

func (x executions) Finish(ctx context.Context, reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error) {
	var claims []attune.ExecutionClaimMessage
	for _, report := range reports {
		claim := attune.ExecutionClaimMessage{
			Execution: report.Execution, Attempt: report.Attempt, Worker: "worker-1", Serial: 1, ReplyKey: replyKey(), Key: report.Key,
			Pool: report.Pool,
		}
		if claim.Validate() == nil {
			claims = append(claims, claim)
		}
	}
	if _, err := x.Claim(ctx, claims, lease); err != nil {
		return nil, err
	}
	return x.Executions.Finish(ctx, reports)
}

// keyOf returns the key of a worker.
func keyOf(worker string) attune.WorkerKey { return sha256.Sum256([]byte(worker)) }

// replyKey returns a valid reply key.
func replyKey() []byte { return bytes.Repeat([]byte{9}, 32) }

// serial is the serial of the last claim or renewal of any worker. The claims of [executions.Finish] have 1, so they renew nothing.
var serial atomic.Int64

func nextSerial() int64 { return serial.Add(1) + 1 }

func corePack() attune.Pack {
	return attune.Pack{Name: "core", Version: "1", Digest: "core-1", Triggers: []attune.Trigger{{Ref: attune.ManualTrigger}}}
}

// demoPack declares one rule: a push runs the action deploy.
func demoPack() attune.Pack {
	return attune.Pack{
		Name: "demo", Version: "1.0.0", Description: "A demo.", Digest: "demo-1",
		Triggers: []attune.Trigger{{
			Ref: pushed, Description: "Something was pushed.", Schema: json.RawMessage(`{"type":"object"}`),
			Webhook: &attune.Webhook{Key: "push", SecretEnv: "PUSH_SECRET", DedupHeader: "X-Delivery"},
		}},
		Actions: []attune.Action{
			{
				Ref: deploy, Description: "Deploys.", Command: []string{"./deploy.sh", "--now"}, Env: []string{"HOME"}, Secrets: []string{"TOKEN"},
				Schema: json.RawMessage(`{"type":"object"}`), Timeout: time.Minute, Pool: "default",
				Limits: attune.Limits{Memory: 64 << 20, Processes: 9},
			},
			{Ref: notify, Command: []string{"./notify.sh"}, Timeout: time.Second, Pool: "small"},
		},
		Rules: []attune.Rule{{
			Ref: onPush, Description: "Deploy what is pushed.", Enabled: true, Trigger: pushed, Action: deploy,
			Criteria: "true", Parameters: json.RawMessage(`{"ref": "{{ payload.ref }}"}`),
		}},
	}
}

func (b *bundle) install(t testing.TB, packs ...attune.Pack) []postgres.InstallResult {
	t.Helper()
	results, err := b.packs.Install(t.Context(), packs)
	require.NoError(t, err)
	return results
}

// installWide installs a pack with n actions, and so with n queues, and returns the actions.
func (b *bundle) installWide(t testing.TB, n int) []attune.Ref {
	t.Helper()
	pack, actions := attune.Pack{Name: "wide", Digest: "1"}, make([]attune.Ref, n)
	for i := range actions {
		actions[i] = attune.NewRef("wide", fmt.Sprintf("action-%d", i))
		pack.Actions = append(pack.Actions, attune.Action{
			Ref: actions[i], Command: []string{"true"}, Timeout: time.Second, Pool: "default",
		})
	}
	b.install(t, pack)
	return actions
}

// accept decides that every candidate's action must run.
func accept(_ attune.Event, candidates []attune.Candidate) []attune.Decision {
	decisions := make([]attune.Decision, len(candidates))
	for i, c := range candidates {
		decisions[i] = decisionTo(c.Action)
		decisions[i].RuleID = c.Rule.ID
	}
	return decisions
}

// decisionTo is the decision to run an action.
func decisionTo(action attune.Action) attune.Decision {
	return attune.Decision{
		ActionID: action.ID, Parameters: json.RawMessage(`{"n": 1}`), Status: attune.EnforcementCreated,
		Queue: policy.DefaultQueue(action.Ref), Encrypted: "v1.encrypted", // every end must remove it
	}
}

// decide records an event with this decision, and returns the enforcement.
func (b *bundle) decide(t testing.TB, decision attune.Decision) attune.Enforcement {
	t.Helper()
	event := attune.Event{Trigger: attune.ManualTrigger, Payload: json.RawMessage(`{}`), Source: attune.SourceManual, Author: &ada}
	recorded, err := b.events.Record(t.Context(), event, func(attune.Event, []attune.Candidate) []attune.Decision {
		return []attune.Decision{decision}
	})
	require.NoError(t, err)
	require.Len(t, recorded.Enforcements, 1)
	return recorded.Enforcements[0]
}

// created makes n enforcements of an action and returns their ids in ascending order.
func (b *bundle) created(t testing.TB, action attune.Ref, n int) []attune.EnforcementID {
	t.Helper()
	declared, err := b.packs.Action(t.Context(), action)
	require.NoError(t, err)
	ids := make([]attune.EnforcementID, n)
	for i := range ids {
		ids[i] = b.decide(t, decisionTo(declared)).ID
	}
	return ids
}

// bulk makes n enforcements of each action with one statement, and returns their ids in ascending order.
func (b *bundle) bulk(t testing.TB, n int, actions ...attune.Ref) []attune.EnforcementID {
	t.Helper()
	conn := b.conn(t)
	_, err := conn.Exec(t.Context(), `
		INSERT INTO queues (key, action_id, policy) SELECT a.ref, a.id, $2::json FROM actions a WHERE a.ref = ANY ($1::text[])
		ON CONFLICT DO NOTHING`, actions, policy.OwnQueue(0, policy.Defaults()))
	require.NoError(t, err)
	rows, err := conn.Query(t.Context(), `
		WITH e AS (
			INSERT INTO events (trigger_id, payload, source, principal, auth_method, on_behalf_of, note)
			SELECT t.id, '{}', 'manual', 'ada', 'token', '', '' FROM triggers t, generate_series(1, $1 * cardinality($2::text[])) WHERE t.ref = 'core.manual'
			RETURNING id
		), numbered AS (
			SELECT id, row_number() OVER (ORDER BY id) - 1 AS i FROM e
		)
		INSERT INTO enforcements (event_id, action_id, parameters, status, queue_id)
		SELECT n.id, q.action_id, '{}', 'created', q.id
		FROM numbered n JOIN queues q ON q.key = ($2::text[])[1 + n.i % cardinality($2::text[])] RETURNING id`, n, actions)
	require.NoError(t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[attune.EnforcementID])
	require.NoError(t, err)
	require.Len(t, ids, n*len(actions))
	slices.Sort(ids)
	return ids
}

// admit accepts enforcements of one queue and returns their tickets in sequence order.
func (b *bundle) admit(t testing.TB, ids ...attune.EnforcementID) []attune.Ticket {
	t.Helper()
	admissions, err := b.enforcements.Admit(t.Context(), ids)
	require.NoError(t, err)
	require.Len(t, admissions, 1)
	return admissions[0].Tickets
}

// grant returns the grant of a ticket. Its number is the sequence, as if the queue granted all tickets in order.
func grant(ticket attune.Ticket) attune.Grant {
	ticket.Attempt = max(ticket.Attempt, 1)
	return attune.Grant{
		Ticket: ticket, Number: ticket.Sequence, GrantedAt: time.Now().UTC().Truncate(time.Millisecond),
		Limit: 3, Revision: 1,
	}
}

// request acts upon the grant of a ticket and returns the message for the workers.
func (b *bundle) request(t testing.TB, ticket attune.Ticket) attune.ExecutionRequestedMessage {
	t.Helper()
	request, err := b.executions.Request(t.Context(), queueKey, grant(ticket))
	require.NoError(t, err)
	require.NotNil(t, request.Message, "request of %+v", ticket)
	return *request.Message
}

// requested makes n enforcements of the deploy action and requests their executions.
func (b *bundle) requested(t testing.TB, n int) []attune.ExecutionRequestedMessage {
	t.Helper()
	messages := make([]attune.ExecutionRequestedMessage, n)
	for i, ticket := range b.admit(t, b.created(t, deploy, n)...) {
		messages[i] = b.request(t, ticket)
	}
	return messages
}

// ada makes the manual changes.
var ada = authorNamed("ada", "it hangs")

func (b *bundle) enforcement(t *testing.T, id attune.EnforcementID) attune.Enforcement {
	t.Helper()
	enforcement, err := b.enforcements.Get(t.Context(), id)
	require.NoError(t, err)
	return enforcement
}

func (b *bundle) execution(t *testing.T, id attune.ExecutionID) attune.Execution {
	t.Helper()
	execution, err := b.executions.Get(t.Context(), id)
	require.NoError(t, err)
	return execution
}

// rebuild begins the next generation of the deploy queue.
func (b *bundle) rebuild(t *testing.T) attune.QueueSnapshot {
	t.Helper()
	snapshot, err := b.queues.Rebuild(t.Context(), queueKey)
	require.NoError(t, err)
	return snapshot
}

func (b *bundle) stats(t *testing.T) attune.QueueStats {
	t.Helper()
	stats, err := b.queues.Stats(t.Context(), queueKey)
	require.NoError(t, err)
	return stats
}

// takeOutbox returns what waits in the outbox, oldest first, and empties it.
func (b *bundle) takeOutbox(t *testing.T) []attune.OutboxRow {
	t.Helper()
	rows, err := b.outbox.Pending(t.Context(), 10_000)
	require.NoError(t, err)
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	require.NoError(t, b.outbox.Remove(t.Context(), ids))
	return rows
}

// conn returns a connection for statements without a method in the package.
func (b *bundle) conn(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// count runs a query that yields one number.
func (b *bundle) count(t *testing.T, sql string) (n int64) {
	t.Helper()
	require.NoError(t, b.conn(t).QueryRow(t.Context(), sql).Scan(&n))
	return n
}

// requireCode checks the code of an error, and that its message contains the given parts.
func requireCode(t *testing.T, code attune.Code, err error, mentions ...any) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, attune.CodeOf(err), "%v", err)
	for _, mention := range mentions {
		require.ErrorContains(t, err, fmt.Sprint(mention))
	}
}

func sequencesOf(tickets []attune.Ticket) []int64 {
	sequences := make([]int64, len(tickets))
	for i, ticket := range tickets {
		sequences[i] = ticket.Sequence
	}
	return sequences
}

// authorNamed is an author that the API has authenticated.
func authorNamed(name, note string) attune.Author {
	return attune.Author{Principal: attune.Principal{Name: name, Method: attune.AuthToken}, Note: note}
}
