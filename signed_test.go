package attune_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	return key
}

func aClaim() attune.ExecutionClaimMessage {
	return attune.ExecutionClaimMessage{
		Installation: "i", Execution: 1, Attempt: 2, Worker: "w", Serial: 3, ReplyKey: bytes.Repeat([]byte{9}, 32), Pool: "gpu",
	}
}

func aRenewal() attune.ExecutionRenewMessage {
	return attune.ExecutionRenewMessage{
		Worker: "w", Attempts: []attune.AttemptID{{Installation: "i", Execution: 1, Attempt: 2}}, Serial: 3, Pool: "gpu",
	}
}

func aReport() attune.ExecutionCompletedMessage {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return attune.ExecutionCompletedMessage{
		Installation: "i", Execution: 1, Attempt: 2, Worker: "w", Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode,
		Error: "exit code 3", ExitCode: new(3), Result: json.RawMessage(`{"a":1}`), Stdout: "out <&>\u2028", Stderr: "err", Truncated: true,
		StartedAt: at, FinishedAt: at.Add(time.Second), Pool: "gpu",
	}
}

// delivered returns a signed message as its receiver decodes it.
func delivered[M attune.WorkerMessage[M]](t testing.TB, key ed25519.PrivateKey, message M) attune.Signed[M] {
	t.Helper()
	signed, err := attune.Sign(key, message)
	require.NoError(t, err)
	require.Equal(t, message.RoutingKey(), signed.RoutingKey())
	require.Equal(t, message.MessageID(), signed.MessageID())
	body, err := json.Marshal(signed)
	require.NoError(t, err)
	var received attune.Signed[M]
	require.NoError(t, json.Unmarshal(body, &received))
	received.Arrived(message.RoutingKey())
	return received
}

func requireRefusal(t testing.TB, want attune.Refusal, err error) {
	t.Helper()
	refusal, ok := errors.AsType[*attune.RefusalError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, want, refusal.Why, "%v", err)
}

// testForgeries verifies a message as its sender sent it, and with every change that a forger can make. message has a value in each
// field.
func testForgeries[M attune.WorkerMessage[M]](t *testing.T, message M) {
	t.Helper()
	key, other := newKey(t), newKey(t)
	good := delivered(t, key, message)
	verified, err := attune.Verify(good)
	require.NoError(t, err)
	again, err := json.Marshal(verified)
	require.NoError(t, err)
	require.Equal(t, string(good.Payload), string(again))

	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(good.Payload, &fields))
	require.NotEmpty(t, fields)
	for name, value := range fields {
		for _, forged := range []json.RawMessage{nil, json.RawMessage(`null`), change(value)} {
			changed := good
			changed.Payload = with(t, fields, name, forged)
			_, err := attune.Verify(changed)
			requireRefusal(t, attune.RefusedSignature, err)
		}
	}
	for name, forge := range map[string]func(*attune.Signed[M]){
		"no key":                    func(s *attune.Signed[M]) { s.Key = nil },
		"a short key":               func(s *attune.Signed[M]) { s.Key = s.Key[1:] },
		"the key of another worker": func(s *attune.Signed[M]) { s.Key = other.Public().(ed25519.PublicKey) },
		"no signature":              func(s *attune.Signed[M]) { s.Signature = nil },
		"a changed signature":       func(s *attune.Signed[M]) { s.Signature = append([]byte{s.Signature[0] ^ 1}, s.Signature[1:]...) },
		"a longer signature":        func(s *attune.Signed[M]) { s.Signature = append(bytes.Clone(s.Signature), 0) },
		"no payload":                func(s *attune.Signed[M]) { s.Payload = nil },
		"white space":               func(s *attune.Signed[M]) { s.Payload = append(json.RawMessage(" "), s.Payload...) },
		"the key of another pool":   func(s *attune.Signed[M]) { s.Arrived(attune.KeyOfPool(s.BaseKey(), "default")) },
		"a key without a pool":      func(s *attune.Signed[M]) { s.Arrived(s.BaseKey()) },
		"a signature without the prefix": func(s *attune.Signed[M]) {
			s.Signature = ed25519.Sign(key, append([]byte(message.RoutingKey()+"\x00"), s.Payload...))
		},
	} {
		forged := good
		forge(&forged)
		_, err := attune.Verify(forged)
		requireRefusal(t, attune.RefusedSignature, err)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), name)
	}
}

// change returns another JSON value.
func change(value json.RawMessage) json.RawMessage {
	if bytes.HasPrefix(value, []byte(`"`)) {
		return json.RawMessage(`"x` + string(value[1:]))
	}
	return json.RawMessage(`77`)
}

// with returns the JSON of fields with another value in one of them, or without that field if value is nil.
func with(t *testing.T, fields map[string]json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	t.Helper()
	changed := maps.Clone(fields)
	if changed[name] = value; value == nil {
		delete(changed, name)
	}
	payload, err := json.Marshal(changed)
	require.NoError(t, err)
	return payload
}

func TestVerify(t *testing.T) {
	t.Parallel()

	t.Run("a claim counts only as its worker signed it", func(t *testing.T) {
		t.Parallel()
		testForgeries(t, aClaim())
	})

	t.Run("a renewal counts only as its worker signed it", func(t *testing.T) {
		t.Parallel()
		testForgeries(t, aRenewal())
	})

	t.Run("a report counts only as its worker signed it", func(t *testing.T) {
		t.Parallel()
		testForgeries(t, aReport())
	})

	t.Run("the verified message has the key of its signature", func(t *testing.T) {
		t.Parallel()
		key := newKey(t)
		want := attune.WorkerKeyOf(key)
		claim, err := attune.Verify(delivered(t, key, aClaim()))
		require.NoError(t, err)
		require.Equal(t, want, claim.Key)
		require.Equal(t, "gpu", claim.Pool)
		renewal, err := attune.Verify(delivered(t, key, aRenewal()))
		require.NoError(t, err)
		require.Equal(t, want, renewal.Key)
		require.Equal(t, "gpu", renewal.Pool)
		report, err := attune.Verify(delivered(t, key, aReport()))
		require.NoError(t, err)
		require.Equal(t, want, report.Key)
		require.Equal(t, "gpu", report.Pool)
	})

	t.Run("a message of one type is none of another", func(t *testing.T) {
		t.Parallel()
		claim := delivered(t, newKey(t), aClaim())
		report := attune.Signed[attune.ExecutionCompletedMessage]{Key: claim.Key, Signature: claim.Signature, Payload: claim.Payload}
		for _, key := range []string{claim.RoutingKey(), aReport().RoutingKey(), ""} {
			report.Arrived(key)
			_, err := attune.Verify(report)
			requireRefusal(t, attune.RefusedSignature, err)
		}
	})

	t.Run("a pool with an invalid name is refused", func(t *testing.T) {
		t.Parallel()
		for _, pool := range []string{"", "a.b", "a|b", "a\n", ".*", "#"} {
			claim := aClaim()
			claim.Pool = pool
			_, err := attune.Verify(delivered(t, newKey(t), claim))
			requireRefusal(t, attune.RefusedContent, err)
		}
	})

	t.Run("invalid content with a right signature is refused", func(t *testing.T) {
		t.Parallel()
		key := newKey(t)
		claim, report := aClaim(), aReport()
		claim.ReplyKey, report.Status = []byte("short"), attune.ExecutionRunning
		_, err := attune.Verify(delivered(t, key, claim))
		requireRefusal(t, attune.RefusedContent, err)
		_, err = attune.Verify(delivered(t, key, report))
		requireRefusal(t, attune.RefusedContent, err)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	})

	t.Run("any output of an action arrives unchanged", func(t *testing.T) {
		t.Parallel()
		key := newKey(t)
		rapid.Check(t, func(rt *rapid.T) {
			report := aReport()
			report.Stdout = strings.ToValidUTF8(rapid.String().Draw(rt, "stdout"), "")
			result, err := json.Marshal(rapid.String().Draw(rt, "result"))
			require.NoError(rt, err)
			report.Result = result
			got, err := attune.Verify(delivered(t, key, report))
			require.NoError(rt, err)
			require.Equal(rt, report.Stdout, got.Stdout)
			require.Equal(rt, string(report.Result), string(got.Result))
		})
	})
}

func TestReplyKey(t *testing.T) {
	t.Parallel()
	key, err := attune.NewReplyKey()
	require.NoError(t, err)
	claim := aClaim()
	claim.ReplyKey, claim.Key = key.Public(), attune.WorkerKey{1}
	input := attune.ExecutionInput{Enforcement: 5, Action: "a.b", ActionDigest: "d", Parameters: json.RawMessage(`{"word":"swordfish"}`)}
	encrypted, err := claim.Encrypt(input)
	require.NoError(t, err)
	require.NotContains(t, string(encrypted), "swordfish")

	t.Run("the sender of the claim decrypts it", func(t *testing.T) {
		t.Parallel()
		got, err := key.Decrypt(claim, encrypted)
		require.NoError(t, err)
		require.Equal(t, input, got)
	})

	t.Run("another reply key does not decrypt it", func(t *testing.T) {
		t.Parallel()
		other, err := attune.NewReplyKey()
		require.NoError(t, err)
		_, err = other.Decrypt(claim, encrypted)
		require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
	})

	for name, change := range map[string]func(*attune.ExecutionClaimMessage){
		"an input for another installation is refused": func(m *attune.ExecutionClaimMessage) { m.Installation = "j" },
		"an input for another execution is refused":    func(m *attune.ExecutionClaimMessage) { m.Execution++ },
		"an input for another attempt is refused":      func(m *attune.ExecutionClaimMessage) { m.Attempt++ },
		"an input for another worker is refused":       func(m *attune.ExecutionClaimMessage) { m.Key[0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := claim
			change(&other)
			_, err := key.Decrypt(other, encrypted)
			require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
		})
	}

	t.Run("a changed or missing input is refused", func(t *testing.T) {
		t.Parallel()
		for _, broken := range [][]byte{nil, encrypted[:10], append(bytes.Clone(encrypted[:len(encrypted)-1]), encrypted[len(encrypted)-1]^1)} {
			_, err := key.Decrypt(claim, broken)
			require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err))
		}
	})

	t.Run("nothing is encrypted for a key of low order", func(t *testing.T) {
		t.Parallel()
		weak := claim
		weak.ReplyKey = make([]byte, 32)
		_, err := weak.Encrypt(input)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	})
}

func TestAction_Digest(t *testing.T) {
	t.Parallel()
	action := attune.Action{
		Ref: "a.b", Command: []string{"run", "x y"}, Env: []string{"HOME"}, Timeout: time.Minute, Pool: "default",
	}
	for name, change := range map[string]func(*attune.Action){
		"the reference":        func(a *attune.Action) { a.Ref = "a.c" },
		"an argument":          func(a *attune.Action) { a.Command = []string{"run", "x z"} },
		"the number of them":   func(a *attune.Action) { a.Command = []string{"run", "x", "y"} },
		"a quote in them":      func(a *attune.Action) { a.Command = []string{`run" "x y`} },
		"no command":           func(a *attune.Action) { a.Command = nil },
		"an argument in env":   func(a *attune.Action) { a.Command, a.Env = a.Command[:1], []string{"x y", "HOME"} },
		"a variable":           func(a *attune.Action) { a.Env = []string{"PATH"} },
		"a secret":             func(a *attune.Action) { a.Secrets = []string{"TOKEN"} },
		"a variable as secret": func(a *attune.Action) { a.Env, a.Secrets = nil, []string{"HOME"} },
		"the timeout":          func(a *attune.Action) { a.Timeout++ },
		"the pool":             func(a *attune.Action) { a.Pool = "gpu" },
		"the limit of memory":  func(a *attune.Action) { a.Limits.Memory = 1 << 20 },
		"that of processes":    func(a *attune.Action) { a.Limits.Processes = 1 << 20 },
		"the order of command": func(a *attune.Action) { a.Command = []string{"x y", "run"} },
	} {
		other := action
		change(&other)
		require.NotEqual(t, action.Digest(), other.Digest(), name)
	}
	same := action
	same.ID, same.Description, same.Enabled, same.Schema, same.Policy = 7, "d", true, json.RawMessage(`{}`), &attune.Policy{}
	require.Equal(t, action.Digest(), same.Digest(), "what a worker does not use")
	require.Equal(t, attune.Action{Env: []string{}}.Digest(), attune.Action{}.Digest())
	require.Len(t, action.Digest(), 64)
}
