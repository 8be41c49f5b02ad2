package cli

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
)

func newQueue() *cobra.Command {
	cmd := newGroup("queue", "Inspect, limit and verify queues")
	cmd.Args = usage(knownQueueCommand)
	r := bindRemote(cmd)
	cmd.AddCommand(newQueueList(r), newQueueShow(r), newQueueLanes(r), newQueueWhy(r), newQueueLimit(r), newQueueVerify(r))
	return cmd
}

// knownQueueCommand is [knownCommand] with the way to the changes of a queue that have no commands.
func knownQueueCommand(cmd *cobra.Command, args []string) error {
	err := knownCommand(cmd, args)
	if err == nil {
		return nil
	}
	changes := map[string]string{
		"pause": "POST /api/v1/queues/KEY/pause", "drain": "POST /api/v1/queues/KEY/drain", "resume": "POST /api/v1/queues/KEY/resume",
	}
	if request, found := changes[args[0]]; found {
		return fmt.Errorf("%w: the API changes queues: %s", err, request)
	}
	return err
}

// queueKeys returns the queues that arguments name. A text that cannot be the key of a queue is a usage error.
func queueKeys(args []string) ([]attune.QueueKey, error) {
	var keys []attune.QueueKey
	for _, arg := range args {
		key := attune.QueueKey(arg)
		if err := key.Validate(); err != nil {
			return nil, usageError{err}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func newQueueList(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the queues that have been used, with their counts",
		Long: `List the queues that have been used, with their counts.

WAITING and ACTIVE count the enforcements that wait in line and that hold a slot. The other counts are of all time: ADMITTED counts
the places in line, RELEASED the slots given back, and DROPPED the enforcements that left the line without a slot. A retry at the
back of the line gives its slot back and takes another place, so it counts again.`,
		Args: noArguments,
	}
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.connect()
		if err != nil {
			return err
		}
		queues, err := client.List[attune.QueueStats](cmd.Context(), c, "/queues", nil)
		if err != nil {
			return withAPIAdvice(err)
		}
		slices.SortFunc(queues, func(a, b attune.QueueStats) int { return cmp.Compare(a.Queue, b.Queue) })
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), append([]attune.QueueStats{}, queues...))
		}
		table := newTable(cmd.OutOrStdout())
		_, _ = fmt.Fprintln(table, "QUEUE\tMODE\tWAITING\tACTIVE\tLIMIT\tADMITTED\tRELEASED\tDROPPED")
		for _, q := range queues {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", queueName(q), q.Mode,
				q.QueueLength, q.ActiveCount, q.MaxConcurrent, q.TotalEnqueued, q.TotalCompleted, q.TotalDropped)
		}
		return table.Flush()
	}
	return cmd
}

// queueName returns the key of a queue, and marks a queue that actions share.
func queueName(q attune.QueueStats) string {
	if q.Shared {
		return string(q.Queue) + " (shared)"
	}
	return string(q.Queue)
}
