package workflows

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

const (
	// heartbeatTimeout is when Temporal gives a regular activity to another process, because its own was killed. Callers wait for
	// the record of a change for [changeTimeout], so it is much shorter than that.
	heartbeatTimeout  = 8 * time.Second
	heartbeatInterval = 2 * time.Second
)

// heartbeats sends heartbeats for every regular activity while it runs.
type heartbeats struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity implements [interceptor.WorkerInterceptor].
func (*heartbeats) InterceptActivity(
	_ context.Context, next interceptor.ActivityInboundInterceptor,
) interceptor.ActivityInboundInterceptor {
	return &beatingActivity{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type beatingActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity implements [interceptor.ActivityInboundInterceptor].
func (a *beatingActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if !activity.GetInfo(ctx).IsLocalActivity {
		ended := make(chan struct{})
		defer close(ended)
		go beat(ctx, ended)
	}
	return a.Next.ExecuteActivity(ctx, in)
}

func beat(ctx context.Context, ended <-chan struct{}) {
	tick := time.NewTicker(heartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			activity.RecordHeartbeat(ctx)
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}
