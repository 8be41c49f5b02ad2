package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"google.golang.org/protobuf/types/known/durationpb"

	commonpb "go.temporal.io/api/common/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
)

const (
	temporalVariable   = "ATTUNE_TEST_TEMPORAL_ADDRESS"
	namespaceTimeout   = 2 * time.Minute
	namespaceRetention = 24 * time.Hour
)

// SearchAttribute is an additional search attribute of a namespace.
type SearchAttribute struct {
	Name string
	Type enumspb.IndexedValueType
}

// Temporal returns the address of the frontend and a new namespace, with the given search attributes ready for use. On an
// external server, the namespace is deleted when the test ends.
func Temporal(t testing.TB, attributes ...SearchAttribute) (address, namespace string) {
	t.Helper()
	address = external(temporalVariable)
	isExternal := address != ""
	if !isExternal {
		address = requestService(t, "temporal").URL
	}
	namespace = "test-" + strings.ReplaceAll(sanitize(t.Name(), 40), "_", "-") + "-" + strings.ToLower(rand.Text()[:10])
	c := Dial(t, address, namespace)
	ctx, cancel := context.WithTimeout(t.Context(), namespaceTimeout)
	defer cancel()
	if err := createNamespace(ctx, c, namespace, attributes); err != nil {
		t.Fatalf("create the test's Temporal namespace: %v", err)
	}
	if isExternal {
		t.Cleanup(func() { deleteNamespace(t, address, namespace) })
	}
	return address, namespace
}

// TemporalClient returns a client of a new namespace; see [Temporal]. The client is closed when the test ends.
func TemporalClient(t testing.TB, attributes ...SearchAttribute) client.Client {
	t.Helper()
	address, namespace := Temporal(t, attributes...)
	return Dial(t, address, namespace)
}

// Dial returns a client that is closed when the test ends. The client logs warnings to the test and does not compress,
// because compression over loopback only costs time.
func Dial(t testing.TB, address, namespace string) client.Client {
	t.Helper()
	c, err := client.NewLazyClient(client.Options{
		HostPort:          address,
		Namespace:         namespace,
		Logger:            testLogger(t),
		ConnectionOptions: client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}},
	})
	if err != nil {
		t.Fatalf("connect to the test environment's Temporal: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// testLogger writes warnings to the test's output.
func testLogger(t testing.TB) sdklog.Logger {
	t.Helper()
	handler := slog.NewTextHandler(Output(t), &slog.HandlerOptions{Level: slog.LevelWarn})
	return sdklog.NewStructuredLogger(slog.New(handler))
}

// Output returns a writer to the test's output, for loggers of goroutines that may outlive the test by a moment. After
// the end of the test it drops every line, where t.Output would panic.
func Output(t testing.TB) io.Writer {
	t.Helper()
	out := &output{to: t.Output()}
	t.Cleanup(out.close)
	return out
}

// output is a writer that can be closed while other goroutines write. mu guards to.
type output struct {
	mu sync.Mutex
	to io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(p)
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = io.Discard
}

func createNamespace(ctx context.Context, c client.Client, name string, attributes []SearchAttribute) error {
	_, err := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        name,
		WorkflowExecutionRetentionPeriod: durationpb.New(namespaceRetention),
	})
	if err != nil {
		return fmt.Errorf("register %q: %w", name, err)
	}
	if err := addSearchAttributes(ctx, c, name, attributes); err != nil {
		return err
	}
	return awaitNamespace(ctx, c, name)
}

func addSearchAttributes(ctx context.Context, c client.Client, namespace string, attributes []SearchAttribute) error {
	if len(attributes) == 0 {
		return nil
	}
	types := map[string]enumspb.IndexedValueType{}
	for _, attribute := range attributes {
		types[attribute.Name] = attribute.Type
	}
	add := &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: types}
	return retry(ctx, func() error {
		if _, err := c.OperatorService().AddSearchAttributes(ctx, add); err != nil {
			return fmt.Errorf("add search attributes: %w", err)
		}
		return nil
	})
}

// awaitNamespace returns when every part of the server knows the namespace, because each part has its own list. The
// requests have no effect: history describes a workflow that does not exist, matching an unused task queue, and
// visibility counts the workflows.
func awaitNamespace(ctx context.Context, c client.Client, name string) error {
	service := c.WorkflowService()
	return retry(ctx, func() error {
		_, err := service.DescribeWorkflowExecution(ctx, &workflowservice.DescribeWorkflowExecutionRequest{
			Namespace: name, Execution: &commonpb.WorkflowExecution{WorkflowId: "none"},
		})
		if _, missing := errors.AsType[*serviceerror.NotFound](err); !missing {
			return fmt.Errorf("history does not know the namespace: %w", err)
		}
		_, err = service.DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace: name, TaskQueue: &taskqueuepb.TaskQueue{Name: "none"},
			TaskQueueType: enumspb.TASK_QUEUE_TYPE_WORKFLOW,
		})
		if err != nil {
			return fmt.Errorf("matching does not know the namespace: %w", err)
		}
		if _, err = service.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: name}); err != nil {
			return fmt.Errorf("visibility does not know the namespace: %w", err)
		}
		return nil
	})
}

// retry calls do until it succeeds or ctx ends.
func retry(ctx context.Context, do func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func deleteNamespace(t testing.TB, address, namespace string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{HostPort: address})
	if err != nil {
		t.Errorf("delete the test's Temporal namespace: %v", err)
		return
	}
	defer c.Close()
	_, err = c.OperatorService().DeleteNamespace(ctx, &operatorservice.DeleteNamespaceRequest{Namespace: namespace})
	if err != nil {
		t.Errorf("delete the test's Temporal namespace: %v", err)
	}
}
