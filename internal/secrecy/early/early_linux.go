package early

import "github.com/attune-go/attune/worker/supervise"

var _ = supervise.Hide()
