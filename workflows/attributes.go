package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/attune-go/attune"
)

// The search attributes of every workflow of a queue, of type Keyword. People can list the workflows of a queue with
// AttuneQueue = "demo.deploy".
const (
	QueueAttribute  = "AttuneQueue"  // the key of the queue
	ActionAttribute = "AttuneAction" // the reference of the action; the key of the queue on the workflow of a shared queue
)

// Attributes lists the search attributes that a namespace needs.
func Attributes() []string { return []string{QueueAttribute, ActionAttribute} }

// SearchAttributes returns the search attributes of a workflow of a queue, which is about an action.
func SearchAttributes(key attune.QueueKey, action attune.Ref) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(
		temporal.NewSearchAttributeKeyKeyword(QueueAttribute).ValueSet(string(key)),
		temporal.NewSearchAttributeKeyKeyword(ActionAttribute).ValueSet(string(action)),
	)
}

// attributeTimeout bounds the wait for new search attributes. Servers refresh their list every few seconds.
const attributeTimeout = 30 * time.Second

// EnsureAttributes adds the missing search attributes of [Attributes] to the namespace, and waits up to 30 s until they are
// usable. After an error, workflows must be started without them, because the server would refuse the start. If attune may not
// add search attributes, an operator must add them. An attribute of another type is [attune.CodeConflict].
func EnsureAttributes(ctx context.Context, c client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, attributeTimeout)
	defer cancel()
	operator := c.OperatorService()
	existing, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", Translate(err))
	}
	for _, name := range Attributes() {
		switch kind, known := existing.GetCustomAttributes()[name]; {
		case known && kind != enumspb.INDEXED_VALUE_TYPE_KEYWORD:
			return attune.Errorf(attune.CodeConflict, "search attribute %s of namespace %q is of type %s: make it Keyword",
				name, namespace, kind)
		case !known:
			if err := addAttribute(ctx, operator, namespace, name); err != nil {
				return err
			}
		}
	}
	return awaitAttributes(ctx, c, namespace)
}

func addAttribute(ctx context.Context, operator operatorservice.OperatorServiceClient, namespace, name string) error {
	_, err := operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace:        namespace,
		SearchAttributes: map[string]enumspb.IndexedValueType{name: enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	})
	if _, exists := errors.AsType[*serviceerror.AlreadyExists](err); err != nil && !exists { // another process was faster
		return fmt.Errorf("add search attribute %s: %w", name, Translate(err))
	}
	return nil
}

// awaitAttributes sends a query with the attributes until the server accepts it.
func awaitAttributes(ctx context.Context, c client.Client, namespace string) error {
	query := strings.Join(Attributes(), " = 'none' OR ") + " = 'none'"
	request := &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: query}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.WorkflowService().CountWorkflowExecutions(ctx, request)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("search by %s: %w", strings.Join(Attributes(), " and "), Translate(err))
		case <-tick.C:
		}
	}
}
