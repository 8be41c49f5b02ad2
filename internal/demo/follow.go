package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
)

const (
	barInterval  = 200 * time.Millisecond // between redraws of the bars
	lineInterval = 2 * time.Second        // between lines
	barWidth     = 40
)

// queues reads the counts of all queues, ordered by key.
func queues(ctx context.Context, c *client.Client) ([]attune.QueueStats, error) {
	all, err := client.List[attune.QueueStats](ctx, c, "/queues", nil)
	slices.SortFunc(all, func(a, b attune.QueueStats) int { return strings.Compare(string(a.Queue), string(b.Queue)) })
	return all, err
}

// countEnded counts the ended enforcements of all queues.
func countEnded(all []attune.QueueStats) int64 {
	n := int64(0)
	for _, q := range all {
		n += q.TotalCompleted + q.TotalDropped
	}
	return n
}

// follow shows the counts of the queues until expected enforcements have ended. It fails after config.IdleTimeout without a
// change.
func follow(ctx context.Context, c *client.Client, config Config, expected int64, w io.Writer) error {
	interval := lineInterval
	if config.Live {
		interval = barInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	shown, lines := "", 0
	changed := time.Now()
	for {
		all, err := queues(ctx, c)
		if err != nil {
			return err
		}
		text := render(all, config.Live)
		if text != shown {
			if config.Live && lines > 0 {
				_, _ = fmt.Fprintf(w, "\x1b[%dA", lines)
			}
			_, _ = io.WriteString(w, text)
			shown, lines, changed = text, strings.Count(text, "\n"), time.Now()
		}
		if countEnded(all) >= expected {
			return nil
		}
		if time.Since(changed) > config.IdleTimeout {
			return fmt.Errorf("nothing has changed for %s: %d of %d enforcements have ended", config.IdleTimeout, countEnded(all), expected)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

func render(all []attune.QueueStats, live bool) string {
	var b strings.Builder
	for i, q := range all {
		done := q.TotalCompleted + q.TotalDropped
		if live {
			fmt.Fprintf(&b, "\x1b[2K%-16s %s %3d/%d  active %d/%d  waiting %d\n",
				q.Queue, bar(done, q.ActiveCount, q.TotalEnqueued), done, q.TotalEnqueued, q.ActiveCount, q.MaxConcurrent, q.QueueLength)
			continue
		}
		if i > 0 {
			b.WriteString("  |  ")
		}
		fmt.Fprintf(&b, "%s %d/%d done, %d/%d active, %d waiting",
			q.Queue, done, q.TotalEnqueued, q.ActiveCount, q.MaxConcurrent, q.QueueLength)
	}
	if !live && len(all) > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

func bar(done, active, total int64) string {
	if total == 0 {
		return strings.Repeat("·", barWidth)
	}
	full := int(done * barWidth / total)
	running := min(barWidth-full, int((active*barWidth+total-1)/total))
	return strings.Repeat("█", full) + strings.Repeat("▒", running) + strings.Repeat("·", barWidth-full-running)
}
