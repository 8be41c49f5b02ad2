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

// Dial connects and returns a client of one namespace, with the name of that. identity names the process to Temporal. All
// settings are the TEMPORAL_* variables of Temporal's own tools; without any, Temporal is at localhost:7233 and the namespace
// is "default". A setting that cannot be used is [attune.CodeInvalid], a server that does not answer before ctx ends
// [attune.CodeUnavailable].
func Dial(
	ctx context.Context, identity string, metrics client.MetricsHandler, log *slog.Logger,
) (c client.Client, namespace string, err error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return nil, "", attune.WrapError(attune.CodeInvalid, err, "the TEMPORAL_* settings cannot be used")
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

// ProcessName names this process among those of its machine and of others: "4711@host".
func ProcessName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%d@%s", os.Getpid(), host)
}

// Ping asks the server for a sign of life.
func Ping(ctx context.Context, c client.Client) error {
	_, err := c.CheckHealth(ctx, &client.CheckHealthRequest{})
	return err
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
