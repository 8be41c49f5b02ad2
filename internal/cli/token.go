package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/internal/client"
)

func newToken() *cobra.Command {
	cmd := newGroup("token", "Create, list, rotate and revoke tokens of the API")
	r := bindRemote(cmd)
	cmd.AddCommand(newTokenCreate(r), newTokenList(r), newTokenRotate(r), newTokenRevoke(r))
	return cmd
}

// bindExpiry gives cmd the flag --expires.
func bindExpiry(cmd *cobra.Command, otherwise string) *timeSpan {
	return bindTimeSpan(cmd, "expires", 0, fmt.Sprintf("time until the token expires, %s to %s, such as 2160h; %s",
		auth.MinTokenLife, auth.MaxTokenLife, otherwise))
}

// expiresIn returns the member of a request for the flag --expires: nil without the flag. A time out of bounds is a usage error, also 0:
// it must not make a token that does not expire.
func expiresIn(expires *timeSpan) (*string, error) {
	if !expires.given {
		return nil, nil //nolint:nilnil // nil is the absent member
	}
	if err := auth.CheckLife(expires.Duration); err != nil {
		return nil, usageError{inFlags(err)}
	}
	return new(expires.Duration.String()), nil
}

// oneToken accepts the name of one token.
func oneToken(cmd *cobra.Command, args []string) error {
	return takes{noun: "token", least: 1, most: 1}.check(cmd, args)
}

func newTokenCreate(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a token and print it",
		Long: `Create a token and print it. attune keeps only a digest of it, so this is the only time that it is shown.

NAME is the author of what the holder of the token does. The roles are viewer (reads), operator (also sends events, runs actions and
changes queues, rules, enforcements and executions), admin (everything), event (only sends events of the triggers that --trigger
names) and worker (only reads who it is: worker processes use the broker, and need no token).`,
		Example: "  attune token create grafana --role viewer\n" +
			"  attune token create ci --role event --trigger demo.push --expires 2160h",
		Args: oneToken,
	}
	role := cmd.Flags().String("role", "", "what the holder may do: viewer, operator, admin, event or worker (required)")
	triggers := cmd.Flags().StringSlice("trigger", nil, "of the role event: a trigger whose events the holder may send; repeat it for more")
	expires := bindExpiry(cmd, "without the flag, it does not expire")
	attribution, format := bindAttribution(cmd), bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		life, err := expiresIn(expires)
		if err != nil {
			return err
		}
		body := api.NewToken{Attribution: *attribution, Name: args[0], Role: auth.Role(*role), ExpiresIn: life}
		for _, trigger := range *triggers {
			body.Triggers = append(body.Triggers, attune.Ref(trigger))
		}
		if body.Role == "" {
			return usageError{errors.New("--role is required: say what the holder may do: viewer, operator, admin, event or worker")}
		}
		request := auth.TokenRequest{Name: body.Name, Role: body.Role, Triggers: body.Triggers, Life: expires.Duration}
		if err := request.Validate(); err != nil {
			return usageError{inFlags(err)}
		}
		return issueToken(cmd, r, *format, "/tokens", body)
	}
	return cmd
}

func newTokenRotate(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate NAME", Short: "Give a token another secret and print it",
		Long: `Give a token another secret and print it. The earlier secret stays valid for --keep-old, so that its holder can change over
without a failed request.`,
		Example: "  attune token rotate ci --keep-old 1h",
		Args:    oneToken,
	}
	keepOld := bindTimeSpan(cmd, "keep-old", auth.DefaultKeepOld,
		fmt.Sprintf("how long the earlier secret stays valid, 0s to %s", auth.MaxKeepOld))
	expires := bindExpiry(cmd, "without the flag, the expiry stays as it is")
	attribution, format := bindAttribution(cmd), bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := auth.CheckKeepOld(keepOld.Duration); err != nil {
			return usageError{inFlags(err)}
		}
		life, err := expiresIn(expires)
		if err != nil {
			return err
		}
		body := api.TokenRotation{Attribution: *attribution, KeepOld: keepOld.String(), ExpiresIn: life}
		return issueToken(cmd, r, *format, tokenPath(args[0], "rotate"), body)
	}
	return cmd
}

// issueToken sends a request whose response has the text of a token. For a person, it writes only the text to the standard
// output, so that a shell can assign it to a variable.
func issueToken(cmd *cobra.Command, r *remote, format output, path string, body any) error {
	c, err := r.connect()
	if err != nil {
		return err
	}
	var issued api.IssuedToken
	if err := c.Post(cmd.Context(), path, body, &issued); err != nil {
		return withAPIAdvice(err)
	}
	warn(cmd, issued.Warnings...)
	if format == outputJSON {
		return writeJSON(cmd.OutOrStdout(), issued)
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "The token of %s (role %s, expires: %s). It is shown only now:\n",
		issued.Name, issued.Role, expiryOf(issued.Token))
	_, err = fmt.Fprintln(cmd.OutOrStdout(), issued.Value)
	return err
}

func newTokenRevoke(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "End a token",
		Long: fmt.Sprintf("End a token. Every process of attune refuses it after %s at the latest.", auth.CacheAge),
		Args: oneToken,
	}
	attribution, format := bindAttribution(cmd), bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := r.connect()
		if err != nil {
			return err
		}
		var revoked auth.Token
		if err := c.Post(cmd.Context(), tokenPath(args[0], "revoke"), attribution, &revoked); err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), revoked)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "The token of %s is revoked.\n", revoked.Name)
		return err
	}
	return cmd
}

func tokenPath(name, verb string) string { return "/tokens/" + url.PathEscape(name) + "/" + verb }

func newTokenList(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens, newest first",
		Long: `List tokens, newest first.

PREFIX is the part of the token that follows "att_"; a token that was rotated has its earlier ones until the time
beside them. USED is up to a minute too
early. The token in the settings of attune is not in the list: it belongs to bootstrap, whose role is admin.`,
		Args: noArguments,
	}
	all := cmd.Flags().Bool("all", false, "list the revoked tokens too")
	format := bindOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := r.connect()
		if err != nil {
			return err
		}
		query := url.Values{}
		if *all {
			query.Set("revoked", "true")
		}
		tokens, err := client.List[auth.Token](cmd.Context(), c, "/tokens", query)
		if err != nil {
			return withAPIAdvice(err)
		}
		if *format == outputJSON {
			return writeJSON(cmd.OutOrStdout(), append([]auth.Token{}, tokens...))
		}
		return printTokens(cmd.OutOrStdout(), tokens)
	}
	return cmd
}

func printTokens(w io.Writer, tokens []auth.Token) error {
	table := newTable(w)
	_, _ = fmt.Fprintln(table, "NAME\tROLE\tPREFIX\tCREATED\tBY\tUSED\tEXPIRES\tTRIGGERS")
	for _, t := range tokens {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.Role, orNone(prefixesOf(t)), clock(t.CreatedAt),
			oneLine(t.CreatedBy.Who()), clockOrNever(t.LastUsedAt), expiryOf(t), orNone(triggersOf(t)))
	}
	return table.Flush()
}

func prefixesOf(t auth.Token) string {
	var prefixes []string
	for _, secret := range t.Secrets {
		text := secret.Prefix
		if secret.ValidUntil != nil {
			text += " (until " + clock(*secret.ValidUntil) + ")"
		}
		prefixes = append(prefixes, text)
	}
	return strings.Join(prefixes, ",")
}

func triggersOf(t auth.Token) string {
	var triggers []string
	for _, trigger := range t.Triggers {
		triggers = append(triggers, string(trigger))
	}
	return strings.Join(triggers, ",")
}

// expiryOf says when a token ends or has ended.
func expiryOf(t auth.Token) string {
	if t.RevokedAt != nil {
		return "revoked " + clock(*t.RevokedAt)
	}
	return clockOrNever(t.ExpiresAt)
}

func clockOrNever(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return clock(*t)
}
