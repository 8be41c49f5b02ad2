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

// WatermarkStore raises the watermark of the database by 1 and returns it. It is [attune.CodeConflict] if the database belongs to
// another installation.
type WatermarkStore interface {
	RaiseWatermark(ctx context.Context, id attune.InstallationID) (int64, error)
}

// Watermark raises the watermark of the database, and reports it to the namespace.
type Watermark struct {
	store        WatermarkStore
	client       client.Client
	installation attune.InstallationID
	log          *slog.Logger
	last         int64 // written by Run only
}

// NewWatermark returns the watermark of an installation that owns the client's namespace.
func NewWatermark(store WatermarkStore, c client.Client, installation attune.InstallationID, log *slog.Logger) *Watermark {
	return &Watermark{store: store, client: c, installation: installation, log: log}
}

// Run raises the watermark at once and every 30 s, until ctx ends, and returns nil then. An error means that the database was
// restored under the running process: the process must stop, and notices the restore when it starts again. A service that does
// not answer is no error.
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

func (w *Watermark) raise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watermarkInterval)
	defer cancel()
	watermark, err := w.store.RaiseWatermark(ctx, w.installation)
	if err != nil {
		return fmt.Errorf("raise the watermark: %w", err)
	}
	if watermark <= w.last {
		return attune.Errorf(attune.CodeConflict, "the database was restored to an earlier time: its watermark is %d, after %d",
			watermark, w.last)
	}
	w.last = watermark
	if err := w.client.SignalWorkflow(ctx, InstallationWorkflowID, "", SignalWatermark, watermark); err != nil {
		return fmt.Errorf("report the watermark: %w", Translate(err))
	}
	return nil
}
