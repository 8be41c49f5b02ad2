package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

// timeSpan is the value of a flag with a length of time.
type timeSpan struct {
	time.Duration

	given bool // on the command line
}

// Set implements [pflag.Value].
func (s *timeSpan) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if days := regexp.MustCompile(`^([0-9]{1,5})d$`).FindStringSubmatch(text); err != nil && days != nil {
		n, _ := strconv.Atoi(days[1]) // the pattern allows only numbers
		return fmt.Errorf("a length of time has no days: use hours: %dh", n*24)
	}
	if err != nil {
		return errors.New("use a length of time such as 90m or 2160h")
	}
	s.Duration, s.given = parsed, true
	return nil
}

// Type implements [pflag.Value].
func (s *timeSpan) Type() string { return "duration" }

// bindTimeSpan gives cmd a flag with a length of time.
func bindTimeSpan(cmd *cobra.Command, name string, otherwise time.Duration, usage string) *timeSpan {
	s := &timeSpan{Duration: otherwise}
	cmd.Flags().Var(s, name, usage)
	return s
}

// bindAttribution gives cmd the flags of a change's author, and makes cmd refuse texts that attune does not record.
func bindAttribution(cmd *cobra.Command) *api.Attribution {
	a := &api.Attribution{}
	cmd.Flags().StringVar(&a.Note, "note", "", fmt.Sprintf("why the change is made; recorded; at most %d bytes", attune.MaxChangeNote))
	cmd.Flags().StringVar(&a.OnBehalfOf, "on-behalf-of", "",
		fmt.Sprintf("the person that you act for; recorded; at most %d bytes", attune.MaxOnBehalfOf))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if err := attune.CheckText("note", a.Note, attune.MaxChangeNote); err != nil {
			return usageError{inFlags(err)}
		}
		if err := attune.CheckText("on_behalf_of", a.OnBehalfOf, attune.MaxOnBehalfOf); err != nil {
			return usageError{inFlags(err)}
		}
		return nil
	}
	return a
}

// inFlags names the flag of a member of a request body at the beginning of an error.
func inFlags(err error) error {
	flags := map[string]string{
		"expires_in": "--expires", "keep_old": "--keep-old", "triggers": "--trigger", "role": "--role",
		"note": "--note", "on_behalf_of": "--on-behalf-of",
	}
	member, rest, _ := strings.Cut(err.Error(), ":")
	if flag, found := flags[member]; found {
		return errors.New(flag + ":" + rest)
	}
	return err
}

// warn writes what looks like a mistake.
func warn(cmd *cobra.Command, warnings ...string) {
	for _, warning := range warnings {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "attune: warning: "+warning)
	}
}
