package fxmodules

import (
	"log/slog"
	"sync"

	"github.com/attune-go/attune/internal/config"
)

// webhookSecrets finds the secrets of webhooks. The secret NAME is the variable NAME, or the content of the file that the
// variable NAME_FILE names. It is safe for concurrent use.
type webhookSecrets struct {
	environment func(name string) (string, bool)

	mu    sync.Mutex
	files map[string]string // guarded by mu; the content of each file that was needed, by its path; empty: it could not be used yet
}

// lookup returns a secret. A file is read when its secret is needed until it can be used, and by reload.
func (w *webhookSecrets) lookup(name string) (string, bool) {
	if value, _ := w.environment(name); value != "" {
		return value, true
	}
	path, _ := w.environment(name + "_FILE")
	if path == "" {
		return "", false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.files[path] == "" {
		w.files[path], _ = config.ReadSecretFile(path) // the error is for reload: the sender of a delivery cannot mend the file
	}
	return w.files[path], w.files[path] != ""
}

// reload reads the files again, and logs each one that cannot be used.
func (w *webhookSecrets) reload(log *slog.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, before := range w.files {
		switch now, err := config.ReadSecretFile(path); {
		case err != nil:
			log.Error("the file of a webhook secret cannot be used, attune keeps the old secret", "file", path, "error", err)
		case now != before:
			w.files[path] = now
			log.Info("the secret of a webhook has changed", "file", path)
		}
	}
}
