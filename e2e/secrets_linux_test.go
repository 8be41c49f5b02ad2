package e2e_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	temporal "go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/secrets"
	"github.com/attune-go/attune/workflows"
)

// loginPack has a trigger with secret fields, and actions that print every secret that they get.
func loginPack() map[string]string {
	const parameters = "parameters:\n  type: object\n  properties:\n    user: {type: string}\n    password: {type: string, format: password}\n    pin: {writeOnly: true}\n"
	rule := func(action string) string {
		return "trigger: login\naction: " + action + "\ncriteria: has(payload.password)\nparameters:\n  user: \"{{ payload.user }}\"\n" +
			"  password: \"{{ payload.password }}\"\n  pin: \"{{ payload.?pin }}\"\n"
	}
	return map[string]string{
		"triggers/login.yaml": "webhook: {key: e2e-push, secret_env: E2E_WEBHOOK_SECRET, dedup_header: X-Delivery}\n" +
			"payload:\n  type: object\n  properties:\n    user: {type: string}\n    password: {type: string, format: password}\n    pin: {type: integer, writeOnly: true}\n" +
			"    unused: {writeOnly: true}\n",
		"actions/use.yaml":   "command: [./bin/use]\nsecrets: [E2E_TOKEN]\npolicy: {limit: 1}\n" + parameters,
		"actions/later.yaml": "command: [./bin/use]\nsecrets: [E2E_TOKEN]\npool: unserved\n" + parameters,
		"actions/other.yaml": "command: [./bin/use]\nsecrets: [E2E_OTHER]\n",
		"actions/snoop.yaml": "command: [./bin/snoop]\n",
		"rules/use.yaml":     rule("use"),
		"rules/later.yaml":   rule("later"),
		"bin/snoop":          "#!/bin/sh\n" + snoopVariable + "=yes exec ./bin/program\n",
		// The digests prove that the action has the clear values.
		"bin/use": `#!/bin/sh
in=$(cat)
password=$(printf '%s' "$in" | sed -n 's/.*"password": *"\([^"]*\)".*/\1/p')
digest() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }
echo "$in $E2E_TOKEN $(printf 'user:%s' "$E2E_TOKEN" | base64) $password" >&2
printf '{"digests": ["%s", "%s"], "in": %s, "token": "%s"}\n' "$(digest "$E2E_TOKEN")" "$(digest "$password")" "$in" "$E2E_TOKEN"
case "$in" in *failing*) echo "it was $E2E_TOKEN and $password" >&2; exit 3 ;; esac
`,
	}
}

// planted are the secrets of a test, made at its start: the program of the test, which is a file of the pack, does not have them.
type planted struct {
	token, other, event, webhook, run, failing string // values of secrets and of secret fields
	unused                                     string // a secret field that no rule passes on
	pin                                        string // a number
	key                                        string // of the keyring
	visible                                    string // no secret: the search must find it
}

func plant() planted {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	digits := make([]byte, 17)
	for i, b := range []byte(rand.Text())[:len(digits)] {
		digits[i] = '1' + b%9
	}
	return planted{
		token: rand.Text(), other: rand.Text(), event: rand.Text(), webhook: rand.Text(), run: rand.Text(), failing: rand.Text(),
		unused: rand.Text(),
		pin:    string(digits), key: hex.EncodeToString(key), visible: rand.Text(),
	}
}

func (p planted) secrets() []string {
	return []string{p.token, p.other, p.event, p.webhook, p.run, p.failing, p.unused, p.pin, p.key, token}
}

// TestSecrets_AreFoundNowhere plants a secret of each kind, lets actions print them, and searches for them everywhere.
func TestSecrets_AreFoundNowhere(t *testing.T) {
	t.Parallel()
	p := plant()
	set := testenv.Own(t, services.Config{
		Postgres: &services.PostgresConfig{}, RabbitMQ: &services.RabbitMQConfig{},
		Temporal: &services.TemporalConfig{SearchAttributes: map[string]string{workflows.QueueAttribute: "Keyword", workflows.ActionAttribute: "Keyword"}},
	})
	c := newCluster(t, loginPack())
	c.env = append(c.env, "ATTUNE_POSTGRES_URL="+set.Postgres.URL(), "ATTUNE_AMQP_URL="+set.RabbitMQ.URL(),
		"TEMPORAL_ADDRESS="+set.Temporal.Address(), "TEMPORAL_NAMESPACE="+temporal.DefaultNamespace,
		"ATTUNE_SECRETS_KEY="+p.key, "ATTUNE_LOG_LEVEL=debug")
	process, folder := c.startAs(anyUser)
	c.usePlanted(p)

	search := finder{t: t, masker: secrets.NewMasker(p.secrets()), visible: p.visible}
	search.none("attune's log", process.Output(), false)
	search.none("the API", c.everyAnswer(), true)
	search.none("the database", dump(t, set.Postgres.URL()), true)
	require.Contains(t, eventSecrets(t, set.Postgres.URL(), p.key), p.unused, "the database has encrypted what it masks")
	search.none("Temporal's histories", c.histories(), false)

	id := c.run("e2e.snoop", map[string]any{"secrets": reversed(p.secrets()), "control": backwards("planted-in-the-open")})
	c.finish("e2e.snoop", 1, 1)
	var found findings
	require.NoError(t, json.Unmarshal(c.executionOf(id).Result, &found))
	require.NotEmpty(t, found.Processes)
	for _, other := range found.Processes {
		if strings.HasPrefix(other.Name, "attune") {
			require.Empty(t, other.Found, other.Name)
		}
	}

	require.NoError(t, syscall.Kill(process.PID(), syscall.SIGABRT)) // a process that may leave a core dump leaves one now
	c.eventually("attune ends", process.Ended)
	search.none("attune's last words", process.Output(), false)
	search.folder("the folders of the services", servicesFolder(t, set), true)
	search.folder("attune's data folder", filepath.Join(folder, "data"), false)
}

// usePlanted sends every secret through attune, and checks that the actions got them in clear text.
func (c *cluster) usePlanted(p planted) {
	c.t.Helper()
	for name, value := range map[string]string{"E2E_TOKEN": p.token, "E2E_OTHER": p.other} {
		file := filepath.Join(c.t.TempDir(), "value")
		require.NoError(c.t, os.WriteFile(file, []byte(value+"\n"), 0o600))
		pack := map[string]string{"E2E_TOKEN": "e2e", "E2E_OTHER": "another"}[name]
		code, output := c.attune("secret", "set", name, "--value-file", file, "--pack", pack, "--url", c.base)
		require.Zero(c.t, code, output)
		require.NotContains(c.t, output, value)
	}
	login := func(password string) map[string]any {
		return map[string]any{"user": p.visible, "password": password, "pin": json.Number(p.pin)}
	}
	event := login(p.event)
	event["unused"] = p.unused
	require.NoError(c.t, c.Post(c.t.Context(), "/events", map[string]any{"trigger": "e2e.login", "payload": event}, nil))
	body, err := json.Marshal(login(p.webhook))
	require.NoError(c.t, err)
	status, answer := hook{c}.deliver(string(body), "swordfish-swordfish", "one")
	require.Equal(c.t, http.StatusAccepted, status, answer)
	run := c.run("e2e.use", login(p.run))
	failing := c.run("e2e.use", map[string]any{"user": "failing", "password": p.failing})
	other := c.run("e2e.other", map[string]any{})
	c.complete("e2e.use", 4)
	c.complete("e2e.other", 1)
	c.eventually("a request of the unserved pool waits in the broker", func() bool {
		return len(c.executions("e2e.later")) == 1
	})

	execution := c.executionOf(run)
	require.Equal(c.t, attune.ExecutionSucceeded, execution.Status, execution.Error)
	require.JSONEq(c.t, fmt.Sprintf(`{"digests": ["%x", "%x"], "token": "***", "in": {"user": %q, "password": "***", "pin": "***"}}`,
		sha256.Sum256([]byte(p.token)), sha256.Sum256([]byte(p.run)), p.visible), withMaskedPin(c.t, execution.Result, execution.Stdout))
	execution = c.executionOf(failing)
	require.Equal(c.t, "exit code 3: it was *** and ***", execution.Error)
	require.JSONEq(c.t, `{"user": "failing", "password": "***"}`, string(execution.Parameters))
	execution = c.executionOf(other)
	require.Equal(c.t, attune.ReasonSecretUnavailable, execution.Reason)
	require.Contains(c.t, execution.Error, `asks for the secret "E2E_OTHER", which is not granted to pack "e2e"`)
}

// withMaskedPin returns the output of an action as JSON. The mask of a number makes it no JSON, so there is no result.
func withMaskedPin(t *testing.T, result json.RawMessage, stdout string) string {
	t.Helper()
	require.Empty(t, result)
	return strings.Replace(stdout, `"pin":***`, `"pin":"***"`, 1)
}

func reversed(texts []string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, backwards(text))
	}
	return all
}

// everyAnswer returns what the API says about everything that happened.
func (c *cluster) everyAnswer() string {
	c.t.Helper()
	var all strings.Builder
	get := func(path string) string {
		status, answer := c.api(http.MethodGet, path, "")
		require.Equal(c.t, http.StatusOK, status, "%s: %s", path, answer)
		all.WriteString(answer + "\n")
		return answer
	}
	for _, list := range []string{"events", "enforcements", "executions"} {
		var page struct {
			Items []struct{ ID int64 }
		}
		require.NoError(c.t, json.Unmarshal([]byte(get(list)), &page))
		require.NotEmpty(c.t, page.Items)
		for _, item := range page.Items {
			get(fmt.Sprintf("%s/%d", list, item.ID))
		}
	}
	for _, path := range []string{
		"actions", "actions/e2e.use", "rules", "rules/e2e.use", "queues", "queues/e2e.use", "queues/e2e.use/grants",
		"queues/e2e.use/changes", "secrets", "doctor", "openapi.json",
	} {
		get(path)
	}
	status, metrics := c.http(http.MethodGet, "/metrics", nil, "")
	require.Equal(c.t, http.StatusOK, status)
	return all.String() + metrics
}

// dump returns every row of every table of a database as text.
func dump(t *testing.T, address string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, tables, "secrets")
	var all strings.Builder
	for _, table := range tables {
		rows, err := conn.Query(t.Context(), `SELECT t::text FROM `+pgx.Identifier{table}.Sanitize()+` t`)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		all.WriteString(table + "\n" + strings.Join(lines, "\n") + "\n")
	}
	return all.String()
}

// eventSecrets returns the decrypted secret fields of every event in a database.
func eventSecrets(t *testing.T, address, key string) string {
	t.Helper()
	keys, err := secrets.ParseKeyring(key)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `SELECT ev.id::text AS id, t.ref, ev.encrypted FROM events ev JOIN triggers t ON t.id = ev.trigger_id
		WHERE ev.encrypted IS NOT NULL`)
	require.NoError(t, err)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ ID, Trigger, Encrypted string }])
	require.NoError(t, err)
	require.Len(t, events, 2, "an event of the API and one of a webhook")
	var all strings.Builder
	for _, event := range events {
		fields, err := keys.Decrypt(event.Encrypted, string(attune.EncryptedEvents), event.ID, event.Trigger)
		require.NoError(t, err)
		all.Write(fields)
	}
	return all.String()
}

// histories returns the events of all workflows as they are stored.
func (c *cluster) histories() string {
	c.t.Helper()
	server := c.dialTemporal()
	listed, err := server.ListWorkflow(c.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
	require.NoError(c.t, err)
	var all strings.Builder
	for _, workflow := range listed.Executions {
		history := server.GetWorkflowHistory(c.t.Context(), workflow.Execution.WorkflowId, workflow.Execution.RunId, false,
			enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for history.HasNext() {
			event, err := history.Next()
			require.NoError(c.t, err)
			raw, err := proto.Marshal(event)
			require.NoError(c.t, err)
			all.Write(raw)
		}
	}
	require.Contains(c.t, all.String(), "e2e.use")
	return all.String()
}

// servicesFolder returns the folder with the data and the logs of a test's own services.
func servicesFolder(t *testing.T, set *services.Set) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), set.Postgres.AdminURL())
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var folder string
	require.NoError(t, conn.QueryRow(t.Context(), `SHOW data_directory`).Scan(&folder))
	_, err = conn.Exec(t.Context(), `CHECKPOINT`) // the files of the database get its pages
	require.NoError(t, err)
	for !strings.HasPrefix(filepath.Base(folder), "own-") {
		require.NotEqual(t, "/", folder)
		folder = filepath.Dir(folder)
	}
	return folder
}

// finder searches for secrets, also encoded ones.
type finder struct {
	t       *testing.T
	masker  *secrets.Masker
	visible string // is no secret
}

// none requires that a text has no secret. With visible, the text must have the value that is no secret.
func (f finder) none(where, text string, visible bool) {
	f.t.Helper()
	require.NotEmpty(f.t, text, where)
	require.False(f.t, f.has(text), "%s has a secret:\n%.2000s", where, f.masker.Text(text))
	if visible {
		require.Contains(f.t, text, f.visible, "the search finds in %s what is no secret", where)
	}
}

func (f finder) has(text string) bool { return f.masker.Text(text) != text }

// folder requires that no file below a folder has a secret.
func (f finder) folder(where, folder string, visible bool) {
	f.t.Helper()
	files, seen := 0, false
	require.NoError(f.t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // a service has deleted the file
		}
		require.False(f.t, strings.HasPrefix(entry.Name(), "core"), "%s: a core dump", path)
		content, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		files++
		seen = seen || strings.Contains(string(content), f.visible)
		require.False(f.t, f.has(string(content)), "%s: %s has a secret", where, path)
		return nil
	}))
	require.Positive(f.t, files)
	require.Equal(f.t, visible, seen, "the search finds in %s what is no secret", where)
}
