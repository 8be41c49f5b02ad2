package rules_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestEngine_Decide_StopsWithItsContext(t *testing.T) {
	t.Parallel()
	const loop = `lists.range(10000).all(a, a >= 0)`
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for want, ctx := range map[string]context.Context{
		`rule "demo.rule", criteria: context canceled`:      ctx,
		`rule "demo.rule", criteria: operation interrupted`: &late{Context: ctx},
	} {
		got := setup(t).Decide(ctx, push(`{}`), []attune.Candidate{rule(loop, "")})
		require.Len(t, got, 1)
		require.Equal(t, attune.EnforcementRejected, got[0].Status)
		require.Equal(t, want, got[0].Detail)
	}
}

// late is a context that reports its end only from the second call of Err on: it ends while a rule is evaluated.
type late struct {
	context.Context //nolint:containedctx // a wrapper of a context

	called bool
}

func (l *late) Err() error {
	if l.called {
		return l.Context.Err()
	}
	l.called = true
	return nil
}
