package bridge_test

import (
	"context"

	"github.com/attune-go/attune"
)

// fakeSecrets gives every granted claim a secret, or fails.
type fakeSecrets struct {
	value string // of the secret TOKEN; empty gives none
	err   error
}

func (f *fakeSecrets) Resolve(_ context.Context, decisions []attune.ClaimDecision) error {
	for i := range decisions {
		if f.value != "" && decisions[i].Reply.Granted {
			decisions[i].Input.Secrets = map[string]string{"TOKEN": f.value}
		}
	}
	return f.err
}
