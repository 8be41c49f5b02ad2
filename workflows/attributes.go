package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/attune-go/attune"
)

// ActionAttribute is the search attribute, of type Keyword, that marks every workflow with the reference of its action, so
// that people can list them: AttuneAction = "demo.deploy".
const ActionAttribute = "AttuneAction"

// MarkedBy are the search attributes of the workflows of a queue. The default queue of an action has its reference as key.
func MarkedBy(key attune.QueueKey) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(temporal.NewSearchAttributeKeyKeyword(ActionAttribute).ValueSet(string(key)))
}

// attributePatience bounds the wait for a new search attribute: servers read the list of them every few seconds.
const attributePatience = 30 * time.Second

// EnsureAttributes sees to it that the namespace has [ActionAttribute]. Where it returns an error workflows must not be
// marked, because the server would refuse to start them; where operators keep the list by themselves, it is theirs to add.
func EnsureAttributes(ctx context.Context, c client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, attributePatience)
	defer cancel()
	operator := c.OperatorService()
	present, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list search attributes: %w", Translate(err))
	}
	switch kind, known := present.GetCustomAttributes()[ActionAttribute]; {
	case known && kind != enumspb.INDEXED_VALUE_TYPE_KEYWORD:
		return attune.Errorf(attune.CodeConflict, "search attribute %s of namespace %q is of type %s: make it Keyword",
			ActionAttribute, namespace, kind)
	case !known:
		_, err := operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace:        namespace,
			SearchAttributes: map[string]enumspb.IndexedValueType{ActionAttribute: enumspb.INDEXED_VALUE_TYPE_KEYWORD},
		})
		if _, exists := errors.AsType[*serviceerror.AlreadyExists](err); err != nil && !exists { // another process was faster
			return fmt.Errorf("add search attribute %s: %w", ActionAttribute, Translate(err))
		}
	}
	return awaitAttribute(ctx, c, namespace)
}

// awaitAttribute asks for workflows by the attribute until the server knows what that is.
func awaitAttribute(ctx context.Context, c client.Client, namespace string) error {
	ask := &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: ActionAttribute + " = 'none'"}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.WorkflowService().CountWorkflowExecutions(ctx, ask)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("search by %s: %w", ActionAttribute, Translate(err))
		case <-tick.C:
		}
	}
}
