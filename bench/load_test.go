package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/workflows/baseline"
)

// posters is the number of concurrent posts.
const posters = 8

// load posts events over kept-alive connections.
type load struct {
	url    string
	client http.Client
	posted atomic.Int64
}

func newLoad(url string) *load {
	return &load{url: url, client: http.Client{
		Timeout: testTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: posters, IdleConnTimeout: time.Minute},
	}}
}

// post posts n events. Each leads to one enforcement, in the queue with the given limit.
func (l *load) post(ctx context.Context, limit, n int) error {
	return baseline.InParallel(ctx, n, posters, func(ctx context.Context) error { return l.event(ctx, limit) })
}

func (l *load) event(ctx context.Context, limit int) error {
	content := fmt.Sprintf(`{"trigger":"bench.work","payload":{"limit":%d,"number":%d}}`, limit, l.posted.Add(1))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(content))
	if err != nil {
		return err
	}
	request.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	response, err := l.client.Do(request)
	if err != nil {
		return fmt.Errorf("post an event: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("post an event: %w", err)
	}
	var accepted api.RecordedEvent
	if err := json.Unmarshal(body, &accepted); err != nil || len(accepted.Enforcements) != 1 ||
		accepted.Enforcements[0].Status != attune.EnforcementCreated {
		return fmt.Errorf("an event must lead to one enforcement; the response is %s %s", response.Status, body)
	}
	return nil
}
