package fxmodules

import (
	"log/slog"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/worker"
)

// newSigner returns the signer of the bridge. In a process without the bridge it signs nothing.
func newSigner(cfg config.Config) (*bridge.Signer, error) {
	key, err := cfg.SigningKey()
	return bridge.NewSigner(key), err
}

// newBridges returns the bridges that the worker of the process believes.
func newBridges(cfg config.Config, metrics *telemetry.Metrics, log *slog.Logger) (*worker.Bridges, error) {
	keys, err := cfg.TrustedBridges()
	return worker.NewBridges(keys, metrics.MessageRefused, log), err
}

// bridgeKeys are the keys that sign for workers, and those that workers believe. They can change while the process runs.
type bridgeKeys struct {
	signer *bridge.Signer
	known  *worker.Bridges
}

func newBridgeKeys(signer *bridge.Signer, known *worker.Bridges) *bridgeKeys {
	return &bridgeKeys{signer, known}
}

// reload takes the keys over. The configuration has only valid keys, and keeps the old ones when it has lost one that is needed.
// reload reports whether they could be used.
func (k *bridgeKeys) reload(next config.Config, log *slog.Logger) bool {
	key, err := next.SigningKey()
	var trusted []attune.BridgeKey
	if err == nil {
		trusted, err = next.TrustedBridges()
	}
	if err != nil {
		log.Error("the keys of the bridge cannot be used, attune keeps the old ones", "error", err)
		return false
	}
	if k.signer.Replace(key) {
		log.Info("the signing key of the bridge has changed", "public_key", key)
	}
	if k.known.Replace(trusted) {
		log.Info("the keys of bridges that the worker believes have changed", "public_keys", trusted)
	}
	return true
}
