// Package queueaudit reads everything that is stored about a queue from a running attune, as it was at one instant: what
// [proof.Check] judges.
package queueaudit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/retry"
	"github.com/attune-go/attune/proof"
)

// errMoved says that a queue has changed while it was read.
var errMoved = errors.New("it changed while it was read")

// Read reads a queue until it has not changed while it was read: whatever changes a row that counts here changes the counts
// too, or the time of their last change. A queue that does not hold still for as long as patience is an error.
func Read(ctx context.Context, c *client.Client, key attune.QueueKey, patience time.Duration) (proof.Rows, error) {
	deadline := time.Now().Add(patience)
	return retry.Get(ctx, func() (proof.Rows, error) {
		rows, err := readStill(ctx, c, key)
		switch {
		case errors.Is(err, errMoved) && time.Now().After(deadline):
			err = retry.Final(fmt.Errorf("it changed every time it was read for %s: pause it, or give it more time", patience))
		case err != nil && !errors.Is(err, errMoved):
			err = retry.Final(err)
		}
		return rows, err
	}, nil)
}

// readStill reads a queue once. The error is errMoved when its counts are others afterwards.
func readStill(ctx context.Context, c *client.Client, key attune.QueueKey) (proof.Rows, error) {
	rows, err := readOnce(ctx, c, key)
	if err != nil {
		return rows, err
	}
	var after attune.QueueStats
	if err := c.Get(ctx, client.QueuePath(key), nil, &after); err != nil {
		return rows, err
	}
	if !reflect.DeepEqual(rows.Stats, after) {
		return rows, errMoved
	}
	return rows, nil
}

// readOnce reads the counts first: what comes in while the lists are read is then seen as a change.
func readOnce(ctx context.Context, c *client.Client, key attune.QueueKey) (proof.Rows, error) {
	rows := proof.Rows{Queue: key}
	if err := c.Get(ctx, client.QueuePath(key), nil, &rows.Stats); err != nil {
		return rows, err
	}
	enforcements, err := client.List[attune.Enforcement](ctx, c, "/enforcements", url.Values{"queue": {string(key)}})
	if err != nil {
		return rows, err
	}
	grants, err := client.List[api.Grant](ctx, c, client.QueuePath(key)+"/grants", nil)
	if err != nil {
		return rows, err
	}
	changes, err := client.List[api.QueueChange](ctx, c, client.QueuePath(key)+"/changes", nil)
	if err != nil {
		return rows, err
	}
	rows.Enforcements = enforcements
	for _, grant := range grants {
		rows.Grants = append(rows.Grants, grant.Logged())
	}
	for _, change := range changes {
		rows.Changes = append(rows.Changes, attune.QueueChange(change))
	}
	return rows, nil
}
