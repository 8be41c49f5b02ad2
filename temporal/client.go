// Package temporal connects a process to Temporal: a client, and the temporal workers that run workflows and activities.
package temporal

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	sdklog "go.temporal.io/sdk/log"

	"github.com/attune-go/attune"
)

// Dial connects to Temporal and returns a client of one namespace, and the name of the namespace. identity names the
// process to Temporal. The settings are the TEMPORAL_* variables of Temporal's own tools; by default Temporal is at
// localhost:7233 and the namespace is "default". An invalid setting is [attune.CodeInvalid]. A server that does not
// answer before ctx ends is [attune.CodeUnavailable].
func Dial(
	ctx context.Context, identity string, metrics client.MetricsHandler, log *slog.Logger,
) (c client.Client, namespace string, err error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, "", attune.WrapError(attune.CodeInvalid, err, "the TEMPORAL_* settings are invalid")
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	options.Namespace = cmp.Or(options.Namespace, client.DefaultNamespace)
	options.Identity = identity
	options.Logger = sdklog.NewStructuredLogger(log)
	options.MetricsHandler = metrics
	if host, _, err := net.SplitHostPort(options.HostPort); err == nil && loopback(host) {
		options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	c, err = client.DialContext(ctx, options)
	if err != nil {
		return nil, "", attune.WrapError(attune.CodeUnavailable, err,
			"Temporal at %s does not answer: start it (attune dev does), or set TEMPORAL_ADDRESS", options.HostPort)
	}
	return c, options.Namespace, nil
}

// ProcessName names this process by process id and host: "4711@host".
func ProcessName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%d@%s", os.Getpid(), host)
}

// Ping checks that the server answers and is healthy.
func Ping(ctx context.Context, c client.Client) error {
	_, err := c.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// SecretVariables lists the environment variables of [Dial] that hold a secret themselves. A process that has called Dial for
// the last time needs them no more.
func SecretVariables() []string {
	return []string{"TEMPORAL_API_KEY", "TEMPORAL_TLS_CLIENT_KEY_DATA", "TEMPORAL_CODEC_AUTH"}
}
