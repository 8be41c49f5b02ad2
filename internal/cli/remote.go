package cli

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/config"
)

// urlEnv says where the attune is that commands talk to. It is no setting of a process that runs.
const urlEnv = "ATTUNE_URL"

// remote is how a command reaches an attune that runs.
type remote struct {
	url   *string
	flags *pflag.FlagSet
}

// bindRemote gives cmd and its subcommands the flags that say where attune is and who asks.
func bindRemote(cmd *cobra.Command) *remote {
	flags := cmd.PersistentFlags()
	return &remote{
		url:   flags.String("url", "", "where attune's API is; http:// and http.addr unless set ["+urlEnv+"]"),
		flags: config.Bind(flags, "http.token"),
	}
}

// client is called when the flags have been read.
func (r *remote) client() (*client.Client, error) {
	cfg, err := config.Load(r.flags, os.LookupEnv)
	if err != nil {
		return nil, badSettings(err)
	}
	if !cfg.APIToken.IsSet() {
		return nil, usageError{errors.New("the API needs a token: set ATTUNE_API_TOKEN, or give --api-token-file")}
	}
	base, from := *r.url, "--url"
	if base == "" {
		base, from = os.Getenv(urlEnv), urlEnv
	}
	if base == "" {
		return client.New("http://"+dialable(cfg.HTTPAddr), cfg.APIToken.Reveal()), nil
	}
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, usageError{errors.New(from + ": give a URL such as http://127.0.0.1:8080")}
	}
	return client.New(strings.TrimSuffix(base, "/"), cfg.APIToken.Reveal()), nil
}

// dialable turns an address to listen on into one to ask: a process that listens everywhere is on this host too.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}
