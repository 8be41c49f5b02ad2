package testenv

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

const (
	amqpVariable      = "ATTUNE_TEST_AMQP_URL"
	rabbitAPIVariable = "ATTUNE_TEST_RABBITMQ_API"
)

// AMQP returns the address of a new, empty vhost. The vhost is deleted when the test ends.
func AMQP(t testing.TB) string {
	t.Helper()
	broker, api := rabbitMQ(t)
	name := "test_" + sanitize(t.Name(), 40) + "_" + strings.ToLower(rand.Text()[:10])
	if err := api.put(t.Context(), name); err != nil {
		t.Fatalf("create the test's vhost: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := api.delete(ctx, name); err != nil {
			t.Errorf("delete the test's vhost: %v", err)
		}
	})
	broker.Path = "/" + name
	return broker.String()
}

// rabbitMQ returns the address of the broker and its management API.
func rabbitMQ(t testing.TB) (*url.URL, managementAPI) {
	t.Helper()
	address, api := external(amqpVariable), os.Getenv(rabbitAPIVariable)
	if address == "" {
		shared := requestService(t, "rabbitmq")
		address, api = shared.URL, shared.Admin
	}
	broker, err := url.Parse(address)
	if err != nil || broker.Host == "" {
		t.Fatalf("%s must be an address like amqp://user:password@host:5672/, not %q", amqpVariable, address)
	}
	if api == "" {
		api = fmt.Sprintf("http://%s@%s:15672", broker.User, broker.Hostname())
	}
	return broker, managementAPI(strings.TrimSuffix(api, "/"))
}

// managementAPI is the address of RabbitMQ's management, with credentials. Its vhost calls take tens of milliseconds;
// rabbitmqctl takes seconds.
type managementAPI string

func (a managementAPI) put(ctx context.Context, vhost string) error {
	return a.call(ctx, http.MethodPut, vhost)
}

func (a managementAPI) delete(ctx context.Context, vhost string) error {
	return a.call(ctx, http.MethodDelete, vhost)
}

func (a managementAPI) call(ctx context.Context, method, vhost string) error {
	request, err := http.NewRequestWithContext(ctx, method, string(a)+"/api/vhosts/"+vhost, http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true // the broker may be closing an idle connection, and the calls are not retried
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w; for a broker of your own set %s to its management API", err, rabbitAPIVariable)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		body, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s vhost %q: %s %s", method, vhost, response.Status, body)
	}
	return nil
}
