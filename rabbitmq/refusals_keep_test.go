package rabbitmq

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestRefusals_Keep counts the refused messages that become dead letters.
func TestRefusals_Keep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 20
		var log strings.Builder
		r := &refusals{perSecond: perSecond, logger: slog.New(slog.NewTextHandler(&log, nil))}
		forged := attune.Refuse(attune.RefusedSignature, "forged")
		flood := func(cause error) (kept int) {
			for range 1000 {
				if r.keep(cause, time.Now()) {
					kept++
				}
			}
			return kept
		}
		require.Equal(t, perSecond, flood(forged))
		require.Zero(t, flood(attune.Errorf(attune.CodeInvalid, "no JSON")), "in the same second")
		require.Equal(t, 1000, flood(errors.New("a bug")), "what is no refusal is never dropped")
		require.Empty(t, log.String())
		<-time.After(time.Second - time.Nanosecond)
		require.Zero(t, flood(forged), "the second is not over")
		<-time.After(time.Nanosecond)
		require.Equal(t, perSecond, flood(forged))
		require.Contains(t, log.String(), "messages=2980 kept_per_second=20", "the log has the number of the others")
		require.Equal(t, 1, strings.Count(log.String(), "refused messages dropped"))

		unbounded := &refusals{logger: slog.New(slog.DiscardHandler)}
		for range 100 {
			require.True(t, unbounded.keep(forged, time.Now()))
		}
	})
}

// TestResponder_Flood refuses requests in one second. A request that cannot be decoded counts like one that the handler refuses.
func TestResponder_Flood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 20
		conn := &Connection{config: Config{Logger: slog.New(slog.DiscardHandler)}}
		r := NewResponder[attune.EnforcementCreatedMessage, string](conn, ConsumerConfig{Queue: "q", MaxRefused: perSecond}, nil)
		var out []outgoing
		for range 1000 {
			out = r.letter(out, amqp.Delivery{Body: []byte("{")}, attune.Refuse(attune.RefusedSignature, "forged"))
			_, err := decode[attune.EnforcementCreatedMessage](amqp.Delivery{Body: []byte("{")})
			require.Error(t, err)
			out = r.letter(out, amqp.Delivery{Body: []byte("{")}, err)
		}
		require.Len(t, out, perSecond)
	})
}
