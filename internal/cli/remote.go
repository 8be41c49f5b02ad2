package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attune-go/attune/internal/certs"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/config"
)

// urlEnv names the URL of the API for client commands. Processes of attune do not read it.
const urlEnv = "ATTUNE_URL"

// remote holds the flags with which a command reaches a running attune.
type remote struct {
	url           *string
	ca, cert, key *string // paths
	flags         *pflag.FlagSet
}

// bindURL gives cmd and its subcommands the flags for the URL of the API and for the settings.
func bindURL(cmd *cobra.Command, settings ...string) *remote {
	flags := cmd.PersistentFlags()
	file := func(name, env, usage string) *string {
		return flags.String(name, os.Getenv(env), "file in PEM with "+usage+" ["+env+"]")
	}
	return &remote{
		url:   flags.String("url", "", "URL of attune's API; default: http:// or, with tls.cert, https://, and http.addr ["+urlEnv+"]"),
		ca:    file("ca", "ATTUNE_CA", "the CAs that may sign the API's certificate; default: those of the system"),
		cert:  file("client-cert", "ATTUNE_CLIENT_CERT", "the certificate to present to the API"),
		key:   file("client-key", "ATTUNE_CLIENT_KEY", "the key of --client-cert"),
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
	trust, err := r.tls()
	if err != nil {
		return nil, err
	}
	return client.New(base, cfg.APIToken.Reveal()).WithTLS(trust).WithTokenFrom(r.tokenSource()), nil
}

// tokenSource names the place of the token, in the order of [config.Load].
func (r *remote) tokenSource() string {
	if flag := r.flags.Lookup("api-token-file"); flag != nil && flag.Changed {
		return "--api-token-file"
	}
	for _, name := range []string{"ATTUNE_API_TOKEN", "ATTUNE_API_TOKEN_FILE"} {
		if os.Getenv(name) != "" {
			return name
		}
	}
	return "the settings file (--config or ATTUNE_CONFIG)"
}

// tls returns which API the command trusts, and its own certificate. A file that cannot be used is a usage error.
func (r *remote) tls() (*tls.Config, error) {
	switch {
	case *r.cert != "" && *r.key == "":
		return nil, usageError{errors.New("--client-key is missing: name the file of the key of --client-cert")}
	case *r.key != "" && *r.cert == "":
		return nil, usageError{errors.New("--client-cert is missing: name the file of the certificate of --client-key")}
	}
	trust, err := certs.Client(*r.ca, *r.cert, *r.key)
	return trust, settingsError(err)
}

// base returns the URL of the API, without a slash at its end. A flag or variable that is no URL is a usage error.
func (r *remote) base(cfg config.Config) (string, error) {
	base, source := *r.url, "--url"
	if !r.flags.Changed("url") {
		base, source = os.Getenv(urlEnv), urlEnv
		if base == "" {
			return scheme(cfg) + dialable(cfg.HTTPAddr), nil
		}
	}
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return "", usageError{errors.New(source + ": use a URL such as http://127.0.0.1:8080")}
	}
	return withoutAPIPath(base), nil
}

// scheme returns the beginning of the API's URL.
func scheme(cfg config.Config) string {
	if cfg.TLS.Cert != "" {
		return "https://"
	}
	return "http://"
}

// withoutAPIPath returns a URL of the API without a slash at the end and without the path under which the API answers: attune dev
// prints the URL with that path.
func withoutAPIPath(base string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/api/v1"), "/")
}

// dialable turns a listen address into an address to connect to: for an unspecified host (0.0.0.0), that is 127.0.0.1.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}
