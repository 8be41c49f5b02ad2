package main

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{
		"--port", "0", "--headless", "--namespace", "one", "--namespace", "two", "--search-attribute", "Depth=Int",
		"--dynamic-config-value", `a.b={"whole":[1,2.5],"word":"x"}`, "--dynamic-config-value", "frontend.rps=7",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := options{
		ip:               "127.0.0.1",
		shards:           defaultShards,
		namespaces:       []string{"one", "two"},
		searchAttributes: map[string]enumspb.IndexedValueType{"Depth": enumspb.INDEXED_VALUE_TYPE_INT},
		retention:        72 * time.Hour,
		logLevel:         "error",
		dynamicConfig: map[string]any{
			"a.b":          map[string]any{"whole": []any{1, 2.5}, "word": "x"},
			"frontend.rps": 7,
		},
	}
	if !reflect.DeepEqual(o, want) {
		t.Fatalf("got %+v, want %+v", o, want)
	}
}

func TestParseOptions_Invalid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"extra", `unexpected argument "extra"`},
		{"--ip localhost", `"localhost" is not an IP address`},
		{"--port 70000", "70000 is not a port"},
		{"--ui-port -1", "-1 is not a port"},
		{"--shards 0", "use at least 1"},
		{"--retention 1h", "minimum is 24h"},
		{"--namespace=", "needs a name"},
		{"--search-attribute Depth", "write it as Name=Type"},
		{"--search-attribute Depth=Number", `type "Number" is not one of`},
		{"--dynamic-config-value frontend.rps", "write it as key=JSON"},
		{"--dynamic-config-value word=x", `value of "word" is not JSON`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			_, err := parseOptions(strings.Fields(tt.args), io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestReservedPortsDiffer(t *testing.T) {
	t.Parallel()
	var o options
	o.ip = loopback
	if err := o.choosePorts(); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range []int{o.port, o.history, o.matching, o.worker} {
		if port == 0 || seen[port] {
			t.Fatalf("ports %d %d %d %d", o.port, o.history, o.matching, o.worker)
		}
		seen[port] = true
		if err := requireFree(loopback, port, "server", "--port"); err != nil {
			t.Fatalf("a reserved port must be free for the server: %v", err)
		}
	}
}
