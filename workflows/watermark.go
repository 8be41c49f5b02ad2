package workflows

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
)

// watermarkInterval is how often a process raises the watermark. A restore to a time within the last interval goes unnoticed.
const watermarkInterval = 30 * time.Second

// WatermarkStore raises the watermark of the database to at least remembered + 1 and returns it. It is [attune.CodeConflict], and
// changes nothing, if the watermark is below remembered or the database belongs to another installation.
type WatermarkStore interface {
	RaiseWatermark(ctx context.Context, id attune.InstallationID, remembered int64) (int64, error)
}

// Watermark raises the watermark of the database, and reports it to the namespace.
type Watermark struct {
	store        WatermarkStore
	client       client.Client
	namespace    string
	installation attune.InstallationID
	log          *slog.Logger
}

// NewWatermark returns the watermark of an installation that owns the namespace.
func NewWatermark(
	store WatermarkStore, c client.Client, namespace string, installation attune.InstallationID, log *slog.Logger,
) *Watermark {
	return &Watermark{store: store, client: c, namespace: namespace, installation: installation, log: log}
}

// Run raises the watermark at once and every 30 s, until ctx ends, and returns nil then. An error means that the database was
// restored under the running process, or that another installation has taken the namespace: the process must stop. A service that
// does not answer is no error.
func (w *Watermark) Run(ctx context.Context) error {
	tick := time.NewTicker(watermarkInterval)
	defer tick.Stop()
	for {
		err := w.raise(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case attune.CodeOf(err) == attune.CodeConflict:
			return err
		case err != nil:
			w.log.WarnContext(ctx, "the watermark of the database was not raised, trying again",
				"error", err, "retry_in", watermarkInterval)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// raise compares the watermark of the database with the one that Temporal remembers, before it raises both. A person may have ended the
// workflow that remembers: then the signal starts it.
func (w *Watermark) raise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watermarkInterval)
	defer cancel()
	owner, err := Owner(ctx, w.client, w.namespace)
	if err != nil {
		return err
	}
	if owner.ID != w.installation && owner.ID != "" {
		return attune.Errorf(attune.CodeConflict, "installation %s has taken namespace %q from this installation (%s)",
			owner.ID, w.namespace, w.installation)
	}
	watermark, err := w.store.RaiseWatermark(ctx, w.installation, owner.Watermark)
	if err != nil {
		return err
	}
	options, input := startInstallation(attune.Installation{ID: w.installation, Watermark: watermark})
	_, err = w.client.SignalWithStartWorkflow(ctx, options.ID, SignalWatermark,
		WatermarkSignal{Installation: w.installation, Watermark: watermark}, options, InstallationWorkflowName, input)
	if err != nil {
		return fmt.Errorf("report the watermark: %w", Translate(err))
	}
	return nil
}
