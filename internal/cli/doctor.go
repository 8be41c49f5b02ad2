package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/internal/client"
)

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at everything an operator would check, and say what to do",
		Long: `Look at a running attune and all it works with: services and their versions, tables, temporal workers, queues of the
broker, dead letters, the outbox, queues that are stalled, slots that are leaked, executions that are overdue, and what people
have set by hand.

The API makes the checks, because it is where the credentials are: this command needs only the API and its token.
Exit code 0 says that there is no problem (there may be notes and warnings), 1 that there is one, or that the API does not answer.`,
		Example: "  attune doctor\n  attune doctor --output json",
		Args:    usage(cobra.NoArgs),
	}
	r := bindRemote(cmd)
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.client()
		if err != nil {
			return err
		}
		diagnosis := examine(cmd.Context(), c)
		if *format == outputJSON {
			err = writeJSON(cmd.OutOrStdout(), diagnosis)
		} else {
			err = printDiagnosis(cmd.OutOrStdout(), diagnosis)
		}
		if problems := diagnosis.Count(doctor.Problem); err == nil && problems > 0 {
			return fmt.Errorf("%d problems", problems)
		}
		return err
	}
	return cmd
}

// examine asks the API. That it does not answer is a finding like any other.
func examine(ctx context.Context, c *client.Client) doctor.Diagnosis {
	var diagnosis doctor.Diagnosis
	err := c.Get(ctx, "/doctor", nil, &diagnosis)
	if err == nil {
		return diagnosis
	}
	finding := doctor.Finding{
		Check: "api", Severity: doctor.Problem, What: "The API could not be asked: " + err.Error() + ".",
		Do: "Start attune with the role api, or say with --url where it is.",
	}
	if refusal, ok := errors.AsType[*client.ProblemError](err); ok {
		finding.Do = "The log of the API's process says more."
		if refusal.Code == attune.CodeUnauthorized {
			finding.Do = "Give the token that the API was started with: ATTUNE_API_TOKEN, or --api-token-file."
		}
	}
	return doctor.Diagnose(time.Now().UTC().Truncate(time.Millisecond), version, []doctor.Finding{finding})
}

// printDiagnosis writes the findings, the worst first, and how many there are of each kind.
func printDiagnosis(w io.Writer, d doctor.Diagnosis) error {
	var text strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&text, "%-7s  %s", strings.ToUpper(string(f.Severity)), f.Check)
		if f.Where != "" {
			fmt.Fprintf(&text, ": %s", f.Where)
		}
		fmt.Fprintf(&text, "\n         %s\n", f.What)
		if f.Do != "" {
			fmt.Fprintf(&text, "         → %s\n", f.Do)
		}
	}
	fmt.Fprintf(&text, "\n%d problems, %d warnings, %d notes, %d checks are well\n",
		d.Count(doctor.Problem), d.Count(doctor.Warning), d.Count(doctor.Note), d.Count(doctor.OK))
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write the diagnosis: %w", err)
	}
	return nil
}
