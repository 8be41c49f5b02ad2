package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
)

// limitFlags are the flags of `attune queue limit`.
type limitFlags struct {
	lane   string
	number int32
	until  *timeSpan
	clear  bool
}

func newQueueLimit(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "limit KEY [LIMIT]", Short: "Set or clear the manual limit of a queue or of one of its lanes",
		Long: `Set or clear the manual limit of a queue or of one of its lanes.

A manual limit of a queue replaces the limit of its policy. That of a lane replaces limit_per_key. It stays until it is cleared, or for
the time of --until. A limit of 0 stops the grants.`,
		Example: "  attune queue limit demo.deploy 3 --until 2h\n  attune queue limit demo.migrate 5 --lane orders --note \"catch up\"\n" +
			"  attune queue limit demo.migrate --lane orders --clear",
		Args: takes{noun: "queue", least: 1, most: 2}.check,
	}
	flags := limitFlags{until: bindTimeSpan(cmd, "until", 0, "time until the limit ends, such as 2h; without the flag, it stays")}
	cmd.Flags().StringVar(&flags.lane, "lane", "", "the lane by the text of its key")
	cmd.Flags().Int32Var(&flags.number, "lane-number", 0, "the lane by its number: see attune queue lanes")
	cmd.Flags().BoolVar(&flags.clear, "clear", false, "clear the manual limit")
	attribution := bindAttribution(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		keys, err := queueKeys(args[:1])
		if err != nil {
			return err
		}
		choice, err := flags.choice(cmd)
		if err != nil {
			return err
		}
		c, err := r.connect()
		if err != nil {
			return err
		}
		var status attune.QueueStatus
		path := client.QueuePath(keys[0])
		if choice != (api.LaneChoice{}) {
			path += "/lanes"
		}
		if flags.clear {
			err = flags.clearLimit(cmd, c, path, args[1:], api.ClearLaneLimit{Attribution: *attribution, LaneChoice: choice}, &status)
		} else {
			err = flags.setLimit(cmd, c, path, args[1:], api.LaneLimitChange{Attribution: *attribution, LaneChoice: choice}, &status)
		}
		if err != nil {
			return withAPIAdvice(err)
		}
		return printStatus(cmd.OutOrStdout(), status)
	}
	return cmd
}

// choice returns the lane of the flags; empty for the whole queue.
func (f limitFlags) choice(cmd *cobra.Command) (choice api.LaneChoice, err error) {
	byKey, byNumber := cmd.Flags().Changed("lane"), cmd.Flags().Changed("lane-number")
	switch {
	case byKey && byNumber:
		return choice, usageError{errors.New("--lane and --lane-number name the same lane: use one of them")}
	case byKey:
		choice.Key = &f.lane
	case byNumber && f.number < 1:
		return choice, usageError{fmt.Errorf("--lane-number %d: use a number from 1", f.number)}
	case byNumber:
		choice.Number = f.number
	}
	return choice, nil
}

func (f limitFlags) setLimit(
	cmd *cobra.Command, c *client.Client, path string, args []string, body api.LaneLimitChange, status *attune.QueueStatus,
) error {
	if len(args) == 0 {
		return usageError{errors.New("name the limit, or use --clear")}
	}
	limit, err := strconv.Atoi(args[0])
	if err != nil || limit < 0 || limit > attune.MaxLimit {
		return usageError{fmt.Errorf("limit %q: use a whole number from 0 to %d", args[0], attune.MaxLimit)}
	}
	body.Limit = limit
	if f.until.given {
		if f.until.Duration <= 0 {
			return usageError{errors.New("--until: use a time above 0, such as 2h")}
		}
		body.Until = new(time.Now().Add(f.until.Duration).UTC().Truncate(time.Second))
	}
	return c.Put(cmd.Context(), path+"/limit", body, status)
}

func (f limitFlags) clearLimit(
	cmd *cobra.Command, c *client.Client, path string, args []string, body api.ClearLaneLimit, status *attune.QueueStatus,
) error {
	if len(args) > 0 || f.until.given {
		return usageError{errors.New("--clear clears the limit: leave out the number and --until")}
	}
	return c.Post(cmd.Context(), path+"/limit/clear", body, status)
}

// printStatus writes what a queue answers to a change.
func printStatus(w io.Writer, s attune.QueueStatus) error {
	_, err := fmt.Fprintf(w, "%s: %s, limit %d, %d active, %d waiting, %s so far\n",
		s.Queue, s.Mode, s.Limit, s.Active, s.Waiting, counted(s.Changes, "manual change"))
	return err
}
