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

// createNamespaces creates the missing namespaces in the database before the server runs: a client that uses a namespace
// too early would make the server cache for a second that the namespace does not exist.
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

// ready waits until the frontend answers. Then it adds missing search attributes to existing namespaces.
func ready(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	conn, err := grpc.NewClient(o.frontend(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := retry(ctx, func() error { return healthy(ctx, conn) }); err != nil {
		return fmt.Errorf("the frontend does not answer within %s: %w", readyTimeout, err)
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
	reply, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{
		Service: workflowservice.WorkflowService_ServiceDesc.ServiceName,
	})
	if err != nil {
		return err
	}
	if reply.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the frontend's health is %s", reply.Status)
	}
	return nil
}

// addSearchAttributes adds the missing search attributes to a namespace. An attribute that exists with another type is an
// error, because types cannot change.
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

// permanent is an error that a retry does not change.
type permanent struct{ error }

// retry calls do until it succeeds, the error is permanent, or ctx ends.
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
