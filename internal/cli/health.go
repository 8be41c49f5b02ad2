package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/attune-go/attune/internal/config"
)

// healthTimeout bounds the request: a health check of a container must not hang.
const healthTimeout = 5 * time.Second

func newHealth() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Check that a running attune is ready",
		Long:  "Check that a running attune is ready, and print its response. Exit code 0: ready. Exit code 1: not ready, or no response.",
		Args:  noArguments,
	}
	r := bindURL(cmd)
	live := cmd.Flags().Bool("live", false, "check only that the process is up")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := config.Load(r.flags, os.LookupEnv)
		if err != nil {
			return settingsError(err)
		}
		url, err := r.base(cfg)
		if err != nil {
			return err
		}
		if *live {
			url += "/livez"
		} else {
			url += "/readyz"
		}
		request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, nil)
		if err != nil {
			return usageError{fmt.Errorf("URL %q: %w", url, err)}
		}
		trust, err := r.tls()
		if err != nil {
			return err
		}
		caller := http.Client{Timeout: healthTimeout, Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}
		response, err := caller.Do(request)
		if err != nil {
			return withAPIAdvice(fmt.Errorf("request %s: %w", url, err))
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		if err != nil {
			return fmt.Errorf("read the response of %s: %w", url, err)
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", body)
		if strings.Contains(string(body), plainToTLS) {
			return fmt.Errorf("%s responded with %s. %s", url, response.Status, httpsAdvice)
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s responded with %s", url, response.Status)
		}
		return nil
	}
	return cmd
}
