package attune_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestActionPolicy_Retries(t *testing.T) {
	t.Parallel()
	const failed, timedOut, abandoned = attune.ExecutionFailed, attune.ExecutionTimedOut, attune.ExecutionAbandoned
	for name, tt := range map[string]struct {
		on      *attune.RetryOn
		retried map[attune.ExecutionStatus][]int // exit codes; 0 stands for none
	}{
		"nothing is said": {nil, map[attune.ExecutionStatus][]int{failed: {0, 1, 75}, timedOut: {0}, abandoned: {0}}},
		"statuses":        {&attune.RetryOn{Statuses: []attune.ExecutionStatus{timedOut}}, map[attune.ExecutionStatus][]int{timedOut: {0}}},
		"the status failed": {
			&attune.RetryOn{Statuses: []attune.ExecutionStatus{failed}}, map[attune.ExecutionStatus][]int{failed: {0, 1, 75}},
		},
		"exit codes": {&attune.RetryOn{ExitCodes: []int{75}}, map[attune.ExecutionStatus][]int{failed: {75}, timedOut: {0}, abandoned: {0}}},
		"both": {
			&attune.RetryOn{Statuses: []attune.ExecutionStatus{failed, abandoned}, ExitCodes: []int{1, 75}},
			map[attune.ExecutionStatus][]int{failed: {1, 75}, abandoned: {0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := map[attune.ExecutionStatus][]int{}
			for _, status := range attune.ExecutionStatuses() {
				for _, code := range []int{0, 1, 75} {
					var exitCode *int
					if code != 0 {
						if status != failed {
							continue
						}
						exitCode = &code
					}
					if (attune.ActionPolicy{RetryOn: tt.on}).Retries(status, exitCode) {
						got[status] = append(got[status], code)
					}
				}
			}
			require.Equal(t, tt.retried, got)
		})
	}
}
