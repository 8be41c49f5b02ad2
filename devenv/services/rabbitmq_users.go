package services

import (
	"encoding/json"
	"fmt"
)

// RabbitMQUser is a user with rights in the default vhost. The rights are regular expressions over the names of exchanges and
// queues.
type RabbitMQUser struct {
	Name                   string
	Configure, Write, Read string
	Topics                 []RabbitMQTopicRights
}

// RabbitMQTopicRights are the rights of a user of a topic exchange, as regular expressions over routing keys.
type RabbitMQTopicRights struct {
	Exchange, Write, Read string
}

// definitionsFile has the users and their passwords. The broker reads it at every start.
const definitionsFile = "conf/definitions.json"

const defaultVhost = "/"

// userNames returns the names of all users.
func (c RabbitMQConfig) userNames() []string {
	names := []string{rabbitUser}
	for _, user := range c.Users {
		names = append(names, user.Name)
	}
	return names
}

// definitions returns the users as the JSON that RabbitMQ imports. A broker that imports users creates no "guest".
func (r *RabbitMQ) definitions() (string, error) {
	type object map[string]string
	all := RabbitMQUser{Name: rabbitUser, Configure: ".*", Write: ".*", Read: ".*"}
	users := []object{{"name": rabbitUser, "password": r.passwords[rabbitUser], "tags": "administrator"}}
	permissions := []object{all.permission()}
	topics := []object{}
	for _, user := range r.config.Users {
		users = append(users, object{"name": user.Name, "password": r.passwords[user.Name], "tags": ""})
		permissions = append(permissions, user.permission())
		for _, topic := range user.Topics {
			topics = append(topics, object{
				"user": user.Name, "vhost": defaultVhost, "exchange": topic.Exchange, "write": topic.Write, "read": topic.Read,
			})
		}
	}
	data, err := json.MarshalIndent(map[string]any{
		"vhosts": []object{{"name": defaultVhost}}, "users": users, "permissions": permissions, "topic_permissions": topics,
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("users of RabbitMQ: %w", err)
	}
	return string(data), nil
}

func (u RabbitMQUser) permission() map[string]string {
	return map[string]string{
		"user": u.Name, "vhost": defaultVhost, "configure": u.Configure, "write": u.Write, "read": u.Read,
	}
}
