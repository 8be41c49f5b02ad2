package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/config"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	readyTimeout  = 45 * time.Second
	retryInterval = 20 * time.Millisecond
)

// createNamespaces puts the namespaces into the database that are not there yet. It does that before the server runs:
// a client that asks for a namespace too early would have the server remember for a second that there is none.
func createNamespaces(database *config.SQL, o options) error {
	for _, name := range o.namespaces {
		namespace, err := sqliteschema.NewNamespaceConfig(clusterName, name, false, o.searchAttributes)
		if err != nil {
			return fmt.Errorf("namespace %q: %w", name, err)
		}
		namespace.Detail.Config.Retention = durationpb.New(o.retention)
		if err := sqliteschema.CreateNamespaces(database, namespace); err != nil {
			return fmt.Errorf("create namespace %q: %w", name, err)
		}
	}
	return nil
}

// ready waits until the frontend serves. Namespaces of an earlier run then get the search attributes they lack.
func ready(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	conn, err := grpc.NewClient(o.frontend(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := retry(ctx, func() error { return healthy(ctx, conn) }); err != nil {
		return fmt.Errorf("the frontend does not serve within %s: %w", readyTimeout, err)
	}
	for _, name := range o.namespaces {
		err := retry(ctx, func() error { return addSearchAttributes(ctx, conn, name, o.searchAttributes) })
		if err != nil {
			return fmt.Errorf("search attributes of namespace %q: %w", name, err)
		}
	}
	return nil
}

func healthy(ctx context.Context, conn *grpc.ClientConn) error {
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{
		Service: workflowservice.WorkflowService_ServiceDesc.ServiceName,
	})
	if err != nil {
		return err
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("its health is %s", answer.Status)
	}
	return nil
}

// addSearchAttributes adds those the namespace does not have. One that it has with another type is an error: types
// cannot be changed.
func addSearchAttributes(
	ctx context.Context, conn *grpc.ClientConn, namespace string, wanted map[string]enumspb.IndexedValueType,
) error {
	operator := operatorservice.NewOperatorServiceClient(conn)
	present, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for name, kind := range wanted {
		switch has, found := present.CustomAttributes[name]; {
		case !found:
			missing[name] = kind
		case has != kind:
			return permanent{fmt.Errorf("%q has type %s in this database, not %s", name, has, kind)}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	return err
}

// permanent is an error that trying again does not change.
type permanent struct{ error }

// retry calls do until it succeeds, fails for good, or ctx is done.
func retry(ctx context.Context, do func() error) error {
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	for {
		err := do()
		if _, final := errors.AsType[permanent](err); err == nil || final {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
