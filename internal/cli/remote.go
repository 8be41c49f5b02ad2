package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/config"
)

// urlEnv names the URL of the API for client commands. Processes of attune do not read it.
const urlEnv = "ATTUNE_URL"

// remote holds the flags with which a command reaches a running attune.
type remote struct {
	url   *string
	flags *pflag.FlagSet
}

// bindURL gives cmd and its subcommands the flags for the URL of the API and for the settings.
func bindURL(cmd *cobra.Command, settings ...string) *remote {
	flags := cmd.PersistentFlags()
	return &remote{
		url:   flags.String("url", "", "URL of attune's API; default: http:// and http.addr ["+urlEnv+"]"),
		flags: config.Bind(flags, settings...),
	}
}

// bindRemote gives cmd and its subcommands the flags for the URL of the API and its token.
func bindRemote(cmd *cobra.Command) *remote {
	return bindURL(cmd, "http.token")
}

// connect returns a client of the API. Call it after the flags are parsed. Missing or wrong flags are usage errors.
func (r *remote) connect() (*client.Client, error) {
	cfg, err := config.Load(r.flags, os.LookupEnv)
	if err != nil {
		return nil, settingsError(err)
	}
	if !cfg.APIToken.IsSet() {
		return nil, usageError{fmt.Errorf("the API needs a token: set ATTUNE_API_TOKEN or --api-token-file. "+
			"attune dev keeps its token in %s", filepath.Join(cfg.DataDir, tokenFile))}
	}
	base, err := r.base(cfg)
	if err != nil {
		return nil, err
	}
	return client.New(base, cfg.APIToken.Reveal()), nil
}

// base returns the URL of the API, without a slash at its end. A flag or variable that is no URL is a usage error.
func (r *remote) base(cfg config.Config) (string, error) {
	base, source := *r.url, "--url"
	if !r.flags.Changed("url") {
		base, source = os.Getenv(urlEnv), urlEnv
		if base == "" {
			return "http://" + dialable(cfg.HTTPAddr), nil
		}
	}
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return "", usageError{errors.New(source + ": use a URL such as http://127.0.0.1:8080")}
	}
	return withoutAPIPath(base), nil
}

// withoutAPIPath returns a URL of the API without a slash at the end and without the path under which the API answers: attune dev
// prints the URL with that path.
func withoutAPIPath(base string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/api/v1"), "/")
}

// apiAdvice says what to do when the API does not answer.
const apiAdvice = "Start attune with the role api, or name its URL with --url."

// withAPIAdvice adds [apiAdvice] to the error of a request without a response.
func withAPIAdvice(err error) error {
	if _, unanswered := errors.AsType[*url.Error](err); unanswered && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w. %s", err, apiAdvice)
	}
	return err
}

// dialable turns a listen address into an address to connect to: for an unspecified host (0.0.0.0), that is 127.0.0.1.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}
