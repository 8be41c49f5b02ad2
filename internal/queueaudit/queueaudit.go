// Package queueaudit reads the rows of a queue from the API of a running attune, all of one instant, for [proof.Check].
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

// errChanged says that a queue changed while it was read.
var errChanged = errors.New("the queue changed while it was read")

// Read reads the rows of a queue, and repeats that until the queue does not change during a reading. A change shows in the
// counts or in the time of their last update, because every change of a row that Read returns updates them. A queue that still
// changes after timeout is an error.
func Read(ctx context.Context, c *client.Client, key attune.QueueKey, timeout time.Duration) (proof.Rows, error) {
	deadline := time.Now().Add(timeout)
	return retry.Get(ctx, func() (proof.Rows, error) {
		rows, err := readStable(ctx, c, key)
		switch {
		case errors.Is(err, errChanged) && time.Now().After(deadline):
			err = retry.Final(fmt.Errorf("the queue changed during every reading for %s: pause the queue, or allow more time", timeout))
		case err != nil && !errors.Is(err, errChanged):
			err = retry.Final(err)
		}
		return rows, err
	}, nil)
}

// readStable reads a queue once. It returns errChanged if the counts are different after the reading.
func readStable(ctx context.Context, c *client.Client, key attune.QueueKey) (proof.Rows, error) {
	rows, err := readOnce(ctx, c, key)
	if err != nil {
		return rows, err
	}
	var after attune.QueueStats
	if err := c.Get(ctx, client.QueuePath(key), nil, &after); err != nil {
		return rows, err
	}
	if !reflect.DeepEqual(rows.Stats, after) {
		return rows, errChanged
	}
	return rows, nil
}

// readOnce reads the counts before the lists, so that readStable notices a change during the lists.
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
	rows.Policies, err = client.List[attune.QueuePolicy](ctx, c, client.QueuePath(key)+"/policies", nil)
	if err != nil {
		return rows, err
	}
	rows.Starts, err = client.List[attune.Start](ctx, c, client.QueuePath(key)+"/starts", nil)
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
