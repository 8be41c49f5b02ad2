package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/internal/client"
)

const (
	rotatedSecret    = "a-secret-of-the-rotation"
	rotatedParameter = "a-parameter-of-the-rotation"
)

// rotationPack has actions that fail without the right secret and the right secret parameter, and a trigger with a secret field.
func rotationPack() map[string]string {
	action := "command: [./bin/check]\nsecrets: [E2E_TOKEN]\npolicy: {limit: 3}\n" +
		"parameters:\n  type: object\n  properties:\n    password: {type: string, format: password}\n"
	return map[string]string{
		"actions/use.yaml": action, "actions/later.yaml": action,
		"triggers/login.yaml": "payload:\n  type: object\n  properties:\n    password: {type: string, format: password}\n",
		"bin/check":           "#!/bin/sh\n[ \"$E2E_TOKEN\" = " + rotatedSecret + " ] && grep -q '\"" + rotatedParameter + "\"'\n",
	}
}

// keyHolder is a process with a file of keys.
type keyHolder struct {
	*process

	file    string
	changes int // how often its keys have changed
}

// rotation is a cluster whose API and bridge are processes of their own, each with its own file of keys.
type rotation struct {
	*cluster

	api, bridge *keyHolder
}

func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return hex.EncodeToString(key)
}

func startRotation(t *testing.T, key string) *rotation {
	t.Helper()
	r := &rotation{cluster: newCluster(t, rotationPack())}
	r.env = append(r.env, "ATTUNE_HTTP_CALLER_RATE=0") // the test sends what it can
	start := func(roles string) *keyHolder {
		file := filepath.Join(t.TempDir(), "secrets.key")
		require.NoError(t, os.WriteFile(file, []byte(key+"\n"), 0o600))
		return &keyHolder{process: r.start("--roles="+roles, "--secrets-key-file", file), file: file}
	}
	r.api, r.bridge = start("api,orchestrator"), start("bridge,worker")
	return r
}

// reload gives a process other keys with SIGHUP, and waits until they are in force.
func (r *rotation) reload(p *keyHolder, keys ...string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(p.file, []byte(strings.Join(keys, "\n")+"\n"), 0o600))
	require.NoError(r.t, syscall.Kill(p.PID(), syscall.SIGHUP))
	p.changes++
	r.eventually("the keys have changed", func() bool {
		return strings.Count(p.Output(), "the keys of secrets have changed") == p.changes
	})
}

// use runs the action and waits for its end.
func (r *rotation) use(ctx context.Context) error {
	var answer struct {
		Enforcement attune.EnforcementID `json:"enforcement_id"`
	}
	body := map[string]any{"parameters": map[string]any{"password": rotatedParameter}}
	if err := r.Post(ctx, "/actions/e2e.use/run", body, &answer); err != nil {
		return err
	}
	query := url.Values{"enforcement": {fmt.Sprint(answer.Enforcement)}}
	var failure error
	ended := within(testTimeout, func() bool {
		found, err := client.List[attune.Execution](ctx, r.Client, "/executions", query)
		if err != nil || len(found) == 0 || found[0].FinishedAt == nil {
			failure = err
			return err != nil
		}
		if found[0].Status != attune.ExecutionSucceeded {
			failure = fmt.Errorf("execution %d is %s (%s)", found[0].ID, found[0].Status, found[0].Reason)
		}
		return true
	})
	if !ended {
		return fmt.Errorf("enforcement %d did not end", answer.Enforcement)
	}
	return failure
}

// login records an event with a secret field.
func (r *rotation) login() {
	r.t.Helper()
	body := map[string]any{"trigger": "e2e.login", "payload": map[string]any{"password": rotatedParameter}}
	require.NoError(r.t, r.Post(r.t.Context(), "/events", body, nil))
}

// keysOfValues returns how many values each key has encrypted, by the id of the key.
func (r *rotation) keysOfValues(conn *pgx.Conn) map[string]int {
	r.t.Helper()
	rows, err := conn.Query(r.t.Context(), `SELECT split_part(encrypted, '.', 2) FROM (
		SELECT encrypted FROM secrets UNION ALL SELECT encrypted FROM events WHERE encrypted IS NOT NULL
		UNION ALL SELECT encrypted FROM enforcements WHERE encrypted IS NOT NULL) v`)
	require.NoError(r.t, err)
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(r.t, err)
	found := map[string]int{}
	for _, key := range keys {
		found[key]++
	}
	return found
}

// diagnose returns the finding of the doctor about the key of secrets.
func (r *rotation) diagnose() doctor.Finding {
	r.t.Helper()
	var diagnosis doctor.Diagnosis
	require.NoError(r.t, r.Get(r.t.Context(), "/doctor", nil, &diagnosis))
	for _, finding := range diagnosis.Findings {
		if finding.Check == "secrets key" {
			return finding
		}
	}
	require.FailNow(r.t, "the doctor does not check the key of secrets")
	return doctor.Finding{}
}

// TestSecrets_RotationUnderLoad replaces the key of secrets again and again, by the steps of docs/secrets.md, while actions with a
// secret and a secret parameter run, others wait, and events with a secret field are recorded. No request and no run fails, and no value
// needs a key that was removed.
func TestSecrets_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	rotations, waiting := size(3, 20), 10
	key := newKey()
	r := startRotation(t, key)
	conn, err := pgx.Connect(t.Context(), r.variable("ATTUNE_POSTGRES_URL"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	value := filepath.Join(t.TempDir(), "value")
	require.NoError(t, os.WriteFile(value, []byte(rotatedSecret), 0o600))
	code, output := r.attune("secret", "set", "E2E_TOKEN", "--value-file", value, "--pack", "e2e", "--url", r.base)
	require.Zero(t, code, output)
	r.control("e2e.later", "pause")
	for range waiting {
		r.run("e2e.later", map[string]any{"password": rotatedParameter})
	}

	var runs atomic.Int64
	stopped := make(chan struct{})
	var callers errgroup.Group
	for range 4 {
		callers.Go(func() error {
			for {
				select {
				case <-stopped:
					return nil
				default:
				}
				if err := r.use(context.WithoutCancel(t.Context())); err != nil {
					return err
				}
				runs.Add(1)
			}
		})
	}
	for n := range rotations {
		r.login()
		before := runs.Load()
		r.eventually("actions run", func() bool { return runs.Load() > before+5 })
		next := newKey()
		r.reload(r.api, key, next)
		r.reload(r.bridge, key, next)
		r.reload(r.api, next, key)
		require.Equal(t, doctor.Note, r.diagnose().Severity, "values have the older key")
		r.reload(r.bridge, next, key)
		code, output := r.attune("secret", "rotate-key", "--url", r.base)
		require.Zero(t, code, output)
		require.Contains(t, output, "every value has it now")
		found := r.keysOfValues(conn)
		require.Len(t, found, 1, "the values have one key")
		for _, values := range found {
			require.GreaterOrEqual(t, values, waiting+1+n+1, "the waiting actions, the secret and the events")
		}
		r.reload(r.api, next)
		r.reload(r.bridge, next)
		require.Equal(t, doctor.OK, r.diagnose().Severity, "%+v", r.diagnose())
		key = next
	}
	last := runs.Load()
	r.eventually("actions run with the last key alone", func() bool { return runs.Load() > last+5 })
	close(stopped)
	require.NoError(t, callers.Wait())

	r.control("e2e.later", "resume")
	r.complete("e2e.later", waiting)
	for _, execution := range append(r.executions("e2e.later"), r.executions("e2e.use")...) {
		require.Equal(t, attune.ExecutionSucceeded, execution.Status, "execution %d: %s", execution.ID, execution.Reason)
	}
	left := r.keysOfValues(conn)
	require.Len(t, left, 1)
	for _, values := range left {
		require.Equal(t, 1+rotations, values, "only the secret and the events are left")
	}
	measured(t, "%d rotations of the key of secrets, %d runs with a secret and a secret parameter, none failed", rotations, runs.Load())

	// A key that is removed too early is a problem that the doctor names.
	r.reload(r.api, newKey())
	finding := r.diagnose()
	require.Equal(t, doctor.Problem, finding.Severity)
	for lost := range r.keysOfValues(conn) {
		require.Equal(t, "key "+lost, finding.Where)
	}
	r.reload(r.api, key)
	require.Equal(t, doctor.OK, r.diagnose().Severity)
}
