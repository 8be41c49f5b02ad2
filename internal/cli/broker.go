package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

func newBroker() *cobra.Command {
	cmd := &cobra.Command{
		Use: "broker", Short: "Prepare a RabbitMQ for attune", Args: usage(knownCommand),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBrokerUsers())
	return cmd
}

func newBrokerUsers() *cobra.Command {
	cmd := &cobra.Command{
		Use: "users", Short: "Print the commands that make the users of the broker", Args: noArguments,
		Long: `Print the commands of rabbitmqctl that make attune's users of the broker with the rights that they need, and no others. Run
them on the machine of the broker. rabbitmqctl asks for the password of each user; a user that exists keeps its password.

With --pool, the commands make one user for the workers of these pools only. It can take the requests of no other pool, and cannot claim,
renew or report executions of another pool.`,
		Example: "  attune broker users > users.sh\n" +
			"  attune broker users --pool gpu",
	}
	vhost := cmd.Flags().String("vhost", "/", "vhost of attune on the broker")
	pools := cmd.Flags().StringArray("pool", nil, "pool of the workers; one per flag")
	name := cmd.Flags().String("name", "", "name of the user for the workers of the pools (default "+rabbitmq.UserWorker+"-POOL...)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *vhost == "" {
			return usageError{errors.New("--vhost is empty: name the vhost, or leave it out")}
		}
		users, err := wantedUsers(*name, *pools)
		if err != nil {
			return usageError{err}
		}
		for _, user := range users {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "rabbitmqctl -s list_users | grep -q '^%[1]s\t' || rabbitmqctl add_user %[1]s\n%[2]s\n",
				user.Name, strings.Join(user.Commands(*vhost), "\n"))
			if err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// wantedUsers returns the user for the workers of the pools, or every user without pools.
func wantedUsers(name string, pools []string) ([]rabbitmq.User, error) {
	if len(pools) == 0 {
		if name != "" {
			return nil, attune.Errorf(attune.CodeInvalid,
				"--name needs --pool: only the user of the workers of some pools has a name of its own")
		}
		return rabbitmq.Users(), nil
	}
	if name == "" {
		name = rabbitmq.UserWorker + "-" + strings.Join(pools, "-")
	}
	user, err := rabbitmq.WorkerUser(name, pools...)
	return []rabbitmq.User{user}, err
}
