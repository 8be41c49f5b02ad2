package early

import "github.com/attune-go/attune/worker/supervise"

var _, _ = supervise.Hide(), supervise.SealDescriptors()
