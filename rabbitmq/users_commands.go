package rabbitmq

import (
	"fmt"
	"strings"
)

// Commands returns the commands of rabbitmqctl that give the user its rights in a vhost, and no others there, and its limits.
// The user must exist. The commands are for a POSIX shell; to run them again changes nothing.
func (u User) Commands(vhost string) []string {
	in := quote(vhost)
	commands := []string{fmt.Sprintf("rabbitmqctl set_permissions --vhost %s %s %s %s %s",
		in, u.Name, always(u.Configure), always(u.Write), always(u.Read))}
	for _, topic := range u.Topics {
		commands = append(commands, fmt.Sprintf("rabbitmqctl set_topic_permissions --vhost %s %s %s %s %s",
			in, u.Name, topic.Exchange, always(topic.Write), always(topic.Read)))
	}
	if u.Limits != (UserLimits{}) {
		commands = append(commands, fmt.Sprintf(`rabbitmqctl set_user_limits %s '{"max-connections": %d, "max-channels": %d}'`,
			u.Name, u.Limits.Connections, u.Limits.Channels))
	}
	return commands
}

// quote returns text as one word of a shell, in quotes unless it has only letters, digits and harmless marks.
func quote(text string) string {
	plain := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-", r)
	}
	if text != "" && !strings.ContainsFunc(text, plain) {
		return text
	}
	return always(text)
}

// always returns text in quotes.
func always(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
