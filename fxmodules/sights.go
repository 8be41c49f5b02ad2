package fxmodules

import (
	"context"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/postgres"
)

// sights gives the API what the database tells about a queue, in the API's words.
type sights struct{ rows *postgres.Queues }

func (s sights) Sight(ctx context.Context, key attune.QueueKey, first int) (api.Sight, error) {
	seen, err := s.rows.Sight(ctx, key, first)
	if err != nil {
		return api.Sight{}, err
	}
	return api.Sight{
		At: seen.At, Stats: seen.Stats, Override: seen.Override, Policy: seen.Policy, Said: seen.Said,
		Holders: each(seen.Holders, func(h postgres.Holder) api.Holder { return api.Holder(h) }),
		Waiting: each(seen.Waiting, func(w postgres.Waiter) api.Waiter { return api.Waiter(w) }),
		Parked:  seen.Parked, Latest: seen.Latest, Finished: api.Finished(seen.Finished),
	}, nil
}

// each converts every element.
func each[S, T any](from []S, convert func(S) T) []T {
	to := make([]T, len(from))
	for i, element := range from {
		to[i] = convert(element)
	}
	return to
}
