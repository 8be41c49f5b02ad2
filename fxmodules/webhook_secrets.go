package fxmodules

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/sources"
)

// webhookSecrets finds the secrets of webhooks. The secret NAME is the variable NAME, or the content of the file that the
// variable NAME_FILE names. It is safe for concurrent use.
type webhookSecrets struct {
	environment func(name string) (string, bool)

	mu    sync.Mutex
	files map[string]string // guarded by mu; the content of each file that was needed, by its path; empty: it could not be used yet
}

// lookup returns a secret, or "" if it is not set. A file is read when its secret is needed until it can be used, and by reload. The
// error is an [attune.CodeUnavailable] error. Its message names the variable, and its cause the file: only the log has the cause.
func (w *webhookSecrets) lookup(name string) (string, error) {
	if value, _ := w.environment(name); value != "" {
		return value, nil
	}
	path, _ := w.environment(name + "_FILE")
	if path == "" {
		return "", nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.files[path] != "" {
		return w.files[path], nil
	}
	secret, err := readWebhookSecret(path)
	w.files[path] = secret
	if err != nil {
		return "", attune.WrapError(attune.CodeUnavailable, err,
			"the file of a webhook's secret that the environment variable %s_FILE names cannot be used: the log of attune says why", name)
	}
	return secret, nil
}

func readWebhookSecret(path string) (string, error) {
	secret, err := config.ReadSecretFile(path)
	if err != nil {
		return "", err
	}
	if err := sources.CheckSecret(secret); err != nil {
		return "", fmt.Errorf("%q %w", path, err)
	}
	return secret, nil
}

// check logs each secret of the packs' webhooks that is set and cannot be used: its deliveries would get 503.
func (w *webhookSecrets) check(loaded []attune.Pack, log *slog.Logger) {
	for _, pack := range loaded {
		for _, trigger := range pack.Triggers {
			if trigger.Webhook == nil {
				continue
			}
			name := trigger.Webhook.SecretEnv
			secret, err := w.lookup(name)
			if err == nil && secret != "" {
				err = sources.CheckSecret(secret)
			}
			if err != nil {
				log.Error("the secret of a webhook cannot be used, its deliveries get 503",
					"trigger", trigger.Ref, "variable", name, "error", err)
			}
		}
	}
}

// reload reads the files again, and logs each one that cannot be used. It reports whether all could be used.
func (w *webhookSecrets) reload(log *slog.Logger) (ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok = true
	for path, before := range w.files {
		switch now, err := readWebhookSecret(path); {
		case err != nil:
			ok = false
			log.Error("the file of a webhook secret cannot be used, attune keeps the old secret", "file", path, "error", err)
		case now != before:
			w.files[path] = now
			log.Info("the secret of a webhook has changed", "file", path)
		}
	}
	return ok
}
