package fxmodules

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/sources"
)

// webhookSecrets finds the secrets of webhooks. The secret NAME is the variable NAME, or the content of the file that the
// variable NAME_FILE names. It is safe for concurrent use.
type webhookSecrets struct {
	environment func(name string) (string, bool)

	// reading is held while files are read, so that a later content replaces an earlier one. It may be held for some seconds: see
	// [config.ReadSecretFile]. A secret that is known does not wait for it.
	reading sync.Mutex

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
	if known := w.known(path); known != "" {
		return known, nil
	}
	w.reading.Lock()
	defer w.reading.Unlock()
	if known := w.known(path); known != "" {
		return known, nil
	}
	secret, err := readWebhookSecret(path)
	w.set(path, secret)
	if err != nil {
		return "", attune.WrapError(attune.CodeUnavailable, err,
			"the file of a webhook's secret that the environment variable %s_FILE names cannot be used: the log of attune says why", name)
	}
	return secret, nil
}

// known returns the secret of a file that was read, or "".
func (w *webhookSecrets) known(path string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files[path]
}

// set takes over what was read from a file.
func (w *webhookSecrets) set(path, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[path] = secret
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
	w.reading.Lock()
	defer w.reading.Unlock()
	w.mu.Lock()
	files := maps.Clone(w.files)
	w.mu.Unlock()
	ok = true
	for path, before := range files {
		switch now, err := readWebhookSecret(path); {
		case err != nil:
			ok = false
			log.Error("the file of a webhook secret cannot be used, attune keeps the old secret", "file", path, "error", err)
		case now != before:
			w.set(path, now)
			log.Info("the secret of a webhook has changed", "file", path)
		}
	}
	return ok
}
