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
	files map[string]string // guarded by mu; the content of each file that was read, by its path
}

// lookup returns a secret. A file is read when its secret is needed for the first time, and by reload.
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
	secret, known := w.files[path]
	if !known {
		var err error
		if secret, err = config.ReadSecretFile(path); err != nil {
			return "", false
		}
		w.files[path] = secret
	}
	return secret, true
}

// reload reads the files again.
func (w *webhookSecrets) reload(log *slog.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, before := range w.files {
		switch now, err := config.ReadSecretFile(path); {
		case err != nil:
			log.Error("the secret of a webhook stays as it is: its file cannot be used", "file", path, "error", err)
		case now != before:
			w.files[path] = now
			log.Info("the secret of a webhook has changed", "file", path)
		}
	}
}
