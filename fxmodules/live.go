package fxmodules

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/attune-go/attune/internal/certs"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/secrets"
)

// live holds the settings that can change while the process runs.
type live struct {
	token   atomic.Pointer[config.Secret] // the bootstrap token of the API
	tls     *certs.Files                  // nil without TLS
	webhook *webhookSecrets
	keys    *secrets.Keyring // of secrets
	log     *slog.Logger
}

func newLive(cfg config.Config, keys *secrets.Keyring, log *slog.Logger) (*live, error) {
	l := &live{keys: keys, webhook: &webhookSecrets{environment: os.LookupEnv, files: map[string]string{}}, log: log}
	l.token.Store(&cfg.APIToken)
	if !cfg.Has(config.RoleAPI) || cfg.TLS.Cert == "" {
		return l, nil
	}
	files, err := certs.Open(cfg.TLS)
	l.tls = files
	return l, err
}

// bootstrap returns the bootstrap token.
func (l *live) bootstrap() string { return l.token.Load().Reveal() }

// watch reads the TLS files again when they change.
func (l *live) watch(ctx context.Context) error {
	if l.tls != nil {
		l.tls.Watch(ctx, l.log)
	}
	<-ctx.Done()
	return nil
}

// reload takes the new settings over and logs what has changed. It keeps what cannot be read.
func (l *live) reload(next config.Config) {
	if before := l.token.Swap(&next.APIToken); before.Reveal() != next.APIToken.Reveal() {
		l.log.Info("the token of the API has changed")
	}
	l.reloadTLS()
	l.webhook.reload(l.log)
	l.reloadKeys(next)
}

// reloadKeys takes the keys of secrets over. The configuration has only valid keys.
func (l *live) reloadKeys(next config.Config) {
	keys, err := parseKeyring(next)
	switch {
	case err != nil:
		l.log.Error("the keys of secrets cannot be used, attune keeps the old ones", "error", err)
	case l.keys.Replace(keys):
		l.log.Info("the keys of secrets have changed", "encrypts", l.keys.First())
	}
}

func (l *live) reloadTLS() {
	if l.tls == nil {
		return
	}
	changed, err := l.tls.Reload()
	switch {
	case err != nil:
		l.log.Error("the TLS files cannot be used, the API keeps the old ones", "error", err)
	case changed:
		l.log.Info("the TLS files have changed", "valid_until", l.tls.NotAfter())
	}
}

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
