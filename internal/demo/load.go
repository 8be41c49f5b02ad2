package demo

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
)

// WebhookKey is the key of the demo pack's webhook. SecretEnv is the environment variable of its secret.
const (
	WebhookKey = "demo-push"
	SecretEnv  = "ATTUNE_DEMO_WEBHOOK_SECRET" //nolint:gosec // the name of a variable, not a secret
)

// Push is the part of GitHub's push event that the demo pack needs.
type Push struct {
	Ref        string `json:"ref"`
	After      string `json:"after"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
	Pusher struct {
		Name string `json:"name"`
	} `json:"pusher"`
}

// push returns the n-th event. Of six events, four push to main, one to another branch and one pushes a tag. The commit is a
// hash of n, so the same events fail in every demo.
func push(n int) Push {
	var p Push
	switch n % 6 {
	case 4:
		p.Ref = "refs/heads/feature"
	case 5:
		p.Ref = fmt.Sprintf("refs/tags/v0.%d.0", n)
	default:
		p.Ref = "refs/heads/main"
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "commit %d", n))
	p.After = hex.EncodeToString(sum[:20])
	p.Repository.FullName = "example/shop"
	p.Pusher.Name = "octocat"
	return p
}

// send posts one signed webhook delivery.
func send(ctx context.Context, c *client.Client, secret, delivery string, p Push) (attune.Recorded, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return attune.Recorded{}, fmt.Errorf("encode push: %w", err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	header := http.Header{}
	header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	header.Set("X-GitHub-Delivery", delivery)
	var recorded attune.Recorded
	err = c.Do(ctx, http.MethodPost, "/webhooks/"+WebhookKey, header, body, &recorded)
	return recorded, err
}
