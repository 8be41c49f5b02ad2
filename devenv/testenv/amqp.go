package testenv

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
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

// AMQPRights are the rights of a user of the broker in one vhost, as regular expressions.
type AMQPRights struct {
	Configure, Write, Read string
	Topics                 []AMQPTopicRights
}

// AMQPTopicRights are the rights of a user of a topic exchange, as regular expressions over routing keys.
type AMQPTopicRights struct {
	Exchange, Write, Read string
}

// AMQPUser returns the address of a vhost of [AMQP] for a new user with the given rights. The user is deleted when the test ends.
func AMQPUser(t testing.TB, address string, rights AMQPRights) string {
	t.Helper()
	_, api := rabbitMQ(t)
	vhost, err := url.Parse(address)
	if err != nil {
		t.Fatalf("address of the vhost: %v", err)
	}
	name, password := "user_"+strings.ToLower(rand.Text()[:10]), rand.Text()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := api.call(ctx, http.MethodDelete, "users/"+name, nil); err != nil {
			t.Errorf("delete the test's user: %v", err)
		}
	})
	place := strings.TrimPrefix(vhost.Path, "/") + "/" + name
	requests := []struct {
		path string
		body any
	}{
		{"users/" + name, map[string]string{"password": password, "tags": ""}},
		{"permissions/" + place, map[string]string{"configure": rights.Configure, "write": rights.Write, "read": rights.Read}},
	}
	for _, topic := range rights.Topics {
		requests = append(requests, struct {
			path string
			body any
		}{"topic-permissions/" + place, map[string]string{"exchange": topic.Exchange, "write": topic.Write, "read": topic.Read}})
	}
	for _, request := range requests {
		if err := api.call(t.Context(), http.MethodPut, request.path, request.body); err != nil {
			t.Fatalf("create the test's user: %v", err)
		}
	}
	vhost.User = url.UserPassword(name, password)
	return vhost.String()
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

// managementAPI is the address of RabbitMQ's management, with credentials. Its calls take tens of milliseconds;
// rabbitmqctl takes seconds.
type managementAPI string

func (a managementAPI) put(ctx context.Context, vhost string) error {
	return a.call(ctx, http.MethodPut, "vhosts/"+vhost, nil)
}

func (a managementAPI) delete(ctx context.Context, vhost string) error {
	return a.call(ctx, http.MethodDelete, "vhosts/"+vhost, nil)
}

// call sends a request for a resource, with the JSON of content unless it is nil.
func (a managementAPI) call(ctx context.Context, method, resource string, content any) error {
	body := new(bytes.Buffer)
	if content != nil {
		if err := json.NewEncoder(body).Encode(content); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, string(a)+"/api/"+resource, body)
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
		return fmt.Errorf("%s %q: %s %s", method, resource, response.Status, body)
	}
	return nil
}
