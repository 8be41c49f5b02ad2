package fxmodules

import (
	"context"
	"log/slog"
	"os"
	"slices"
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
	bridges *bridgeKeys
	log     *slog.Logger
}

func newLive(cfg config.Config, keys *secrets.Keyring, bridges *bridgeKeys, log *slog.Logger) (*live, error) {
	l := &live{keys: keys, bridges: bridges, webhook: newWebhookSecrets(os.LookupEnv), log: log}
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

// reload takes the new settings over and logs which have changed. It keeps the old value of a setting that cannot be read, and reports
// whether all could be used.
func (l *live) reload(next config.Config) bool {
	if before := l.token.Swap(&next.APIToken); before.Reveal() != next.APIToken.Reveal() {
		l.log.Info("the token of the API has changed")
	}
	results := []bool{l.reloadTLS(), l.webhook.reload(l.log), l.reloadKeys(next), l.bridges.reload(next, l.log)}
	return !slices.Contains(results, false)
}

// reloadKeys takes the keys of secrets over. The configuration has only valid keys.
func (l *live) reloadKeys(next config.Config) bool {
	keys, err := parseKeyring(next)
	switch {
	case err != nil:
		l.log.Error("the keys of secrets cannot be used, attune keeps the old ones", "error", err)
	case l.keys.Replace(keys):
		l.log.Info("the keys of secrets have changed", "encrypts", l.keys.First(), "decrypt", l.keys.IDs())
	}
	return err == nil
}

func (l *live) reloadTLS() bool {
	if l.tls == nil {
		return true
	}
	changed, err := l.tls.Reload()
	switch {
	case err != nil:
		l.log.Error("the TLS files cannot be used, the API keeps the old ones", "error", err)
	case changed:
		l.log.Info("the TLS files have changed", "valid_until", l.tls.NotAfter())
	}
	return err == nil
}
