package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// replacedSQL finds the executions of holders. An enforcement that has moved to another place is no longer the holder that a
// later enforcement replaces.
const replacedSQL = `
SELECT e.id, COALESCE(x.id, 0) FROM unnest($2::bigint[], $3::bigint[]) AS u (id, sequence)
	JOIN enforcements e ON e.id = u.id AND e.sequence = u.sequence AND e.queue_id = ` + queueNamed + `
	LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.status IN ('queued', 'granted') ORDER BY e.id`

// CancelReplaced cancels the executions of holders that later enforcements of their lanes replace: see [Executions.Cancel]. The
// queue is the author. A holder that has ended, or has moved to another place, is skipped. A holder whose grant was not acted
// upon yet has no execution: the error is [attune.CodeUnavailable], and a repeated call cancels the rest.
func (x *Executions) CancelReplaced(ctx context.Context, key attune.QueueKey, grants []attune.Grant) error {
	ids, sequences := make([]attune.EnforcementID, len(grants)), make([]int64, len(grants))
	for i, grant := range grants {
		ids[i], sequences[i] = grant.Enforcement, grant.Sequence
	}
	holders, err := collect(ctx, x.db.pool, scanReplaced, replacedSQL, key, ids, sequences)
	if err != nil {
		return wrap("find replaced executions", err)
	}
	author := attune.Author{
		Principal: attune.Principal{Name: "queue " + string(key), Method: attune.AuthSystem},
		Note:      "a later enforcement of its lane replaces it",
	}
	missing := 0
	for _, holder := range holders {
		if holder.execution == 0 {
			missing++
			continue
		}
		if _, err := x.Cancel(ctx, holder.execution, author); err != nil && attune.CodeOf(err) != attune.CodeConflict {
			return fmt.Errorf("cancel the execution of enforcement %d: %w", holder.enforcement, err)
		}
	}
	if missing > 0 {
		return attune.Errorf(attune.CodeUnavailable, "%d replaced enforcements have no execution yet", missing)
	}
	return nil
}

func scanReplaced(row pgx.CollectableRow) (replaced, error) {
	var r replaced
	err := row.Scan(&r.enforcement, &r.execution)
	return r, err
}

// replaced is a holder to cancel. Its execution is 0 if there is none yet.
type replaced struct {
	enforcement attune.EnforcementID
	execution   attune.ExecutionID
}
