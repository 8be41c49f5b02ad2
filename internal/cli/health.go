package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealth() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running attune whether it is ready",
		Long:  "Ask a running attune whether it is ready. Exit code 0 says yes; otherwise what it answered is printed.",
		Args:  usage(cobra.NoArgs),
	}
	base := cmd.Flags().String("url", "http://127.0.0.1:8080", "where attune's API is")
	live := cmd.Flags().Bool("live", false, "ask only whether the process is up")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		url := strings.TrimSuffix(*base, "/") + "/readyz"
		if *live {
			url = strings.TrimSuffix(*base, "/") + "/livez"
		}
		request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			return usageError{fmt.Errorf("--url %q: %w", *base, err)}
		}
		client := http.Client{Timeout: 5 * time.Second}
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("ask %s: %w", url, err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", url, err)
		}
		_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", body)
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
	return cmd
}
