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
		Use: "doctor", Short: "Check a running attune and its services, and say how to fix problems",
		Long: `Check a running attune and its services: versions, database tables, temporal workers, broker queues, dead letters, the
outbox, stalled queues, leaked slots, overdue executions, manual overrides, parked enforcements and disabled rules. Each finding
says what to do.

The API process runs the checks, because it has the credentials of the services. This command needs only the API and its token.

Exit code 0: no problem, though there may be notes and warnings. Exit code 1: a problem was found, or the API does not answer.`,
		Example: "  attune doctor\n  attune doctor --output json",
		Args:    noArguments,
	}
	r := bindRemote(cmd)
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.connect()
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
			return errors.New(counted(problems, "problem"))
		}
		return err
	}
	return cmd
}

// examine reads the diagnosis from the API. If that fails, the diagnosis has one finding: the problem with the API.
func examine(ctx context.Context, c *client.Client) doctor.Diagnosis {
	var diagnosis doctor.Diagnosis
	err := c.Get(ctx, "/doctor", nil, &diagnosis)
	if err == nil {
		return diagnosis
	}
	finding := doctor.Finding{
		Check: "api", Severity: doctor.Problem, What: "The request to the API failed: " + err.Error() + ".",
		Do: apiAdvice,
	}
	if problem, ok := errors.AsType[*client.ProblemError](err); ok {
		finding.Do = "Read the log of the API process."
		if problem.Code == attune.CodeUnauthorized {
			finding.Do = "Use the token that the API was started with: set ATTUNE_API_TOKEN or --api-token-file."
		}
	}
	return doctor.Diagnose(time.Now().UTC().Truncate(time.Millisecond), version, []doctor.Finding{finding})
}

// printDiagnosis writes the findings, the worst first, and the number of each severity.
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
	fmt.Fprintf(&text, "\n%s, %s, %s, %d ok\n", counted(d.Count(doctor.Problem), "problem"), counted(d.Count(doctor.Warning), "warning"),
		counted(d.Count(doctor.Note), "note"), d.Count(doctor.OK))
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write the diagnosis: %w", err)
	}
	return nil
}
