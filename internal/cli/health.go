package cli

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newHealth() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Check that a running attune is ready",
		Long:  "Check that a running attune is ready, and print its response. Exit code 0: ready. Exit code 1: not ready, or no response.",
		Args:  usage(cobra.NoArgs),
	}
	base := cmd.Flags().String("url", "http://127.0.0.1:8080", "URL of attune's API")
	live := cmd.Flags().Bool("live", false, "check only that the process is up")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		url := withoutAPIPath(*base) + "/readyz"
		if *live {
			url = withoutAPIPath(*base) + "/livez"
		}
		request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, nil)
		if err != nil {
			return usageError{fmt.Errorf("--url %q: %w", *base, err)}
		}
		client := http.Client{Timeout: 5 * time.Second}
		response, err := client.Do(request)
		if err != nil {
			return withAPIAdvice(fmt.Errorf("request %s: %w", url, err))
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		if err != nil {
			return fmt.Errorf("read the response of %s: %w", url, err)
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", body)
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s responded with %s", url, response.Status)
		}
		return nil
	}
	return cmd
}
