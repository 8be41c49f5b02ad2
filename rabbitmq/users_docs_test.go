package rabbitmq_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/rabbitmq"
)

// TestUsers_Documented compares the rights of the users with the commands in the documentation.
func TestUsers_Documented(t *testing.T) {
	t.Parallel()
	var commands strings.Builder
	for _, u := range rabbitmq.Users() {
		commands.WriteString(strings.Join(u.Commands("/"), "\n") + "\n")
	}
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	require.Contains(t, string(page), "```sh\n"+commands.String()+"```", "the commands are:\n%s", commands.String())
}

// TestUsers_Compose compares the rights of the users with those that docker-compose.yml gives them.
func TestUsers_Compose(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	script := exec.CommandContext(t.Context(), "sh", "../deploy/rabbitmq/start.sh", "definitions")
	script.Env = append(os.Environ(), "ADMIN_PASSWORD=a", "BRIDGE_PASSWORD=b", "WORKER_PASSWORD=w")
	output, err := script.Output()
	require.NoError(t, err)
	type object = map[string]string
	var got struct {
		Users, Permissions, Vhosts []object
		TopicPermissions           []object `json:"topic_permissions"`
	}
	require.NoError(t, json.Unmarshal(output, &got), "%s", output)

	users := []object{{"name": "attune", "password": "a", "tags": "administrator"}}
	permissions := []object{{"user": "attune", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}}
	var topics []object
	passwords := map[string]string{rabbitmq.UserBridge: "b", rabbitmq.UserWorker: "w"}
	for _, u := range rabbitmq.Users() {
		if passwords[u.Name] == "" {
			continue // one process has the other roles
		}
		users = append(users, object{"name": u.Name, "password": passwords[u.Name], "tags": ""})
		permissions = append(permissions, object{"user": u.Name, "vhost": "/", "configure": u.Configure, "write": u.Write, "read": u.Read})
		for _, topic := range u.Topics {
			topics = append(topics, object{
				"user": u.Name, "vhost": "/", "exchange": topic.Exchange, "write": topic.Write, "read": topic.Read,
			})
		}
	}
	require.Equal(t, []object{{"name": "/"}}, got.Vhosts)
	require.Equal(t, users, got.Users)
	require.Equal(t, permissions, got.Permissions)
	require.Equal(t, topics, got.TopicPermissions)

	script = exec.CommandContext(t.Context(), "sh", "../deploy/rabbitmq/start.sh", "definitions")
	script.Env = append(os.Environ(), "ADMIN_PASSWORD=a", `BRIDGE_PASSWORD=b"`, "WORKER_PASSWORD=w")
	require.Error(t, script.Run(), "a password with a quote would become part of the JSON")
}
