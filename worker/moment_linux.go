package worker

import "github.com/attune-go/attune/worker/supervise"

func sinceBoot() bootTime { return bootTime(supervise.Now()) }
