package attune_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func newBridgeKey(t testing.TB) attune.BridgeSigningKey {
	t.Helper()
	key, err := attune.ParseBridgeSigningKey(attune.NewBridgeSigningKey())
	require.NoError(t, err)
	return key
}

// alterations returns what a forger can make of a signed message: each field changed or missing, each field of the content changed or
// missing, and the content signed with another key.
func alterations(t *testing.T, good attune.BridgeSigned, resign func(attune.BridgeSigningKey, []byte) attune.BridgeSigned) map[string]attune.BridgeSigned {
	t.Helper()
	other := newBridgeKey(t)
	public := other.Public()
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	forged := map[string]attune.BridgeSigned{
		"nothing":           {},
		"no key":            {Signature: good.Signature, Payload: good.Payload},
		"a short key":       {Key: good.Key[1:], Signature: good.Signature, Payload: good.Payload},
		"the key of zeros":  {Key: make([]byte, 32), Signature: good.Signature, Payload: good.Payload},
		"a changed key":     {Key: flip(good.Key), Signature: good.Signature, Payload: good.Payload},
		"another key":       {Key: public[:], Signature: good.Signature, Payload: good.Payload},
		"no signature":      {Key: good.Key, Payload: good.Payload},
		"another signature": {Key: good.Key, Signature: flip(good.Signature), Payload: good.Payload},
		"no payload":        {Key: good.Key, Signature: good.Signature},
		"white space":       {Key: good.Key, Signature: good.Signature, Payload: append([]byte(" "), good.Payload...)},
		"a foreign bridge":  resign(other, good.Payload),
	}
	asIfGood := resign(other, good.Payload)
	asIfGood.Key = good.Key
	forged["a foreign signature under the right key"] = asIfGood
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(good.Payload, &fields))
	if content, nested := fields["reply"]; nested {
		var inner map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(content, &inner))
		for name, value := range inner {
			for _, changed := range []json.RawMessage{nil, change(value)} {
				payload := with(t, fields, "reply", with(t, inner, name, changed))
				forged[fmt.Sprintf("%s is %s", name, changed)] = attune.BridgeSigned{Key: good.Key, Signature: good.Signature, Payload: payload}
			}
		}
	}
	for name, value := range fields {
		for _, changed := range []json.RawMessage{nil, change(value)} {
			payload := with(t, fields, name, changed)
			forged[fmt.Sprintf("%s is %s", name, changed)] = attune.BridgeSigned{Key: good.Key, Signature: good.Signature, Payload: payload}
		}
	}
	return forged
}

func requireRefused(t *testing.T, err error, name string) {
	t.Helper()
	require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(err), "%s: %v", name, err)
}

// TestVerifyReply opens a reply as its bridge signed it, with every change, and as the reply to every other request.
func TestVerifyReply(t *testing.T) {
	t.Parallel()
	bridge, worker := newBridgeKey(t), newKey(t)
	trusted := []attune.BridgeKey{newBridgeKey(t).Public(), bridge.Public()} // in a rotation, a worker knows several

	t.Run("the reply to a claim", func(t *testing.T) {
		t.Parallel()
		request := delivered(t, worker, aClaim())
		reply := attune.ExecutionClaimReply{
			Execution: 1, Attempt: 2, Granted: true, Status: attune.ExecutionRunning, Lease: attune.Duration(time.Minute), EncryptedInput: []byte("s"),
		}
		good, err := attune.SignReply(bridge, request, reply)
		require.NoError(t, err)
		var got attune.ExecutionClaimReply
		require.NoError(t, attune.VerifyReply(trusted, request, good, &got))
		require.Equal(t, reply, got)

		resign := func(key attune.BridgeSigningKey, _ []byte) attune.BridgeSigned {
			forged, err := attune.SignReply(key, request, reply)
			require.NoError(t, err)
			return forged.BridgeSigned
		}
		for name, forged := range alterations(t, good.BridgeSigned, resign) {
			requireRefused(t, attune.VerifyReply(trusted, request, attune.SignedReply{BridgeSigned: forged}, &got), name)
		}
		for name, change := range map[string]func(*attune.ExecutionClaimMessage){
			"another installation": func(m *attune.ExecutionClaimMessage) { m.Installation = "j" },
			"another execution":    func(m *attune.ExecutionClaimMessage) { m.Execution++ },
			"another attempt":      func(m *attune.ExecutionClaimMessage) { m.Attempt++ },
			"another worker":       func(m *attune.ExecutionClaimMessage) { m.Worker = "v" },
			"a later claim":        func(m *attune.ExecutionClaimMessage) { m.Serial++ },
			"another reply key":    func(m *attune.ExecutionClaimMessage) { m.ReplyKey[0]++ },
			"another pool":         func(m *attune.ExecutionClaimMessage) { m.Pool = "default" },
		} {
			claim := aClaim()
			change(&claim)
			requireRefused(t, attune.VerifyReply(trusted, delivered(t, worker, claim), good, &got), name)
		}
		requireRefused(t, attune.VerifyReply(trusted, delivered(t, newKey(t), aClaim()), good, &got), "another worker process")
		requireRefused(t, attune.VerifyReply(trusted, delivered(t, worker, aRenewal()), good, &got), "a renewal")
		requireRefused(t, attune.VerifyReply(trusted[:1], request, good, &got), "a bridge that the worker does not know")
		requireRefused(t, attune.VerifyReply(nil, request, good, &got), "a worker without keys")
	})

	t.Run("the reply to a renewal", func(t *testing.T) {
		t.Parallel()
		request := delivered(t, worker, aRenewal())
		reply := attune.ExecutionRenewReply{
			Lease: attune.Duration(time.Minute), Lost: []attune.AttemptID{{Installation: "i", Execution: 1, Attempt: 2}},
		}
		good, err := attune.SignReply(bridge, request, reply)
		require.NoError(t, err)
		var got attune.ExecutionRenewReply
		require.NoError(t, attune.VerifyReply(trusted, request, good, &got))
		require.Equal(t, reply, got)
		resign := func(key attune.BridgeSigningKey, _ []byte) attune.BridgeSigned {
			forged, err := attune.SignReply(key, request, reply)
			require.NoError(t, err)
			return forged.BridgeSigned
		}
		for name, forged := range alterations(t, good.BridgeSigned, resign) {
			requireRefused(t, attune.VerifyReply(trusted, request, attune.SignedReply{BridgeSigned: forged}, &got), name)
		}
		for name, change := range map[string]func(*attune.ExecutionRenewMessage){
			"another attempt": func(m *attune.ExecutionRenewMessage) { m.Attempts[0].Attempt++ },
			"more attempts":   func(m *attune.ExecutionRenewMessage) { m.Attempts = append(m.Attempts, m.Attempts[0]) },
			"a later renewal": func(m *attune.ExecutionRenewMessage) { m.Serial++ },
			"another pool":    func(m *attune.ExecutionRenewMessage) { m.Pool = "default" },
		} {
			renewal := aRenewal()
			change(&renewal)
			requireRefused(t, attune.VerifyReply(trusted, delivered(t, worker, renewal), good, &got), name)
		}
	})

	t.Run("an error of the bridge is believed with its code", func(t *testing.T) {
		t.Parallel()
		request := delivered(t, worker, aClaim())
		signed, err := attune.SignFailure(bridge, request, attune.CodeInvalid, "no")
		require.NoError(t, err)
		err = attune.VerifyReply(trusted, request, signed, new(attune.ExecutionClaimReply))
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		require.EqualError(t, err, "no")
	})

	t.Run("a bridge without a key signs nothing", func(t *testing.T) {
		t.Parallel()
		_, err := attune.SignReply(attune.BridgeSigningKey{}, delivered(t, worker, aClaim()), attune.ExecutionClaimReply{})
		require.Error(t, err)
	})
}

// TestVerifyCancel opens a cancel as its bridge signed it, and with every change.
func TestVerifyCancel(t *testing.T) {
	t.Parallel()
	bridge := newBridgeKey(t)
	trusted := []attune.BridgeKey{bridge.Public()}
	message := attune.ExecutionCancelMessage{Installation: "i", Execution: 1, Attempt: 2}
	good, err := attune.SignCancel(bridge, message)
	require.NoError(t, err)
	require.Equal(t, message.MessageID(), good.MessageID())
	got, err := attune.VerifyCancel(trusted, good)
	require.NoError(t, err)
	require.Equal(t, message, got)
	resign := func(key attune.BridgeSigningKey, _ []byte) attune.BridgeSigned {
		forged, err := attune.SignCancel(key, message)
		require.NoError(t, err)
		return forged.BridgeSigned
	}
	for name, forged := range alterations(t, good.BridgeSigned, resign) {
		_, err := attune.VerifyCancel(trusted, attune.SignedCancel{BridgeSigned: forged})
		requireRefused(t, err, name)
	}
	request := delivered(t, newKey(t), aClaim())
	reply, err := attune.SignReply(bridge, request, message)
	require.NoError(t, err)
	_, err = attune.VerifyCancel(trusted, attune.SignedCancel{BridgeSigned: reply.BridgeSigned})
	requireRefused(t, err, "a reply is no cancel")
	requireRefused(t, attune.VerifyReply(trusted, request, attune.SignedReply{BridgeSigned: good.BridgeSigned}, new(attune.ExecutionClaimReply)), "a cancel is no reply")
}

func TestBridgeKey(t *testing.T) {
	t.Parallel()
	text := attune.NewBridgeSigningKey()
	require.Len(t, text, 64)
	require.NotEqual(t, text, attune.NewBridgeSigningKey())
	key, err := attune.ParseBridgeSigningKey(text + "\n")
	require.NoError(t, err)
	public, err := attune.ParseBridgeKey(key.Public().String())
	require.NoError(t, err)
	require.Equal(t, key.Public(), public)
	for _, shown := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%x", key), key.String()} {
		require.NotContains(t, shown, text, "a print does not show the private key")
	}
	for _, wrong := range []string{"", "abc", text[:62], text + "00", "zz" + text[2:]} {
		_, err := attune.ParseBridgeSigningKey(wrong)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		if wrong != "" {
			require.NotContains(t, err.Error(), wrong)
		}
		_, err = attune.ParseBridgeKey(wrong)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	}
}
