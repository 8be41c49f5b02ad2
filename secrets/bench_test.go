package secrets_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/secrets"
)

// BenchmarkMasker masks the same output with 1 value and with 100 values, in turns, so that both see the same load of the machine.
// It reports how many times as long 100 values take.
func BenchmarkMasker(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,.:-"
		var t bytes.Buffer
		for range n {
			t.WriteByte(letters[random.IntN(len(letters))])
		}
		return t.String()
	}
	var values []string
	for range 100 {
		values = append(values, text(40))
	}
	var output bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&output, "%s %s\n", text(80), values[i%100][:10])
	}
	one, hundred := secrets.NewMasker(values[:1]), secrets.NewMasker(values)
	measure := func(m *secrets.Masker) time.Duration {
		began := time.Now()
		w := m.Writer(io.Discard)
		_, err := w.Write(output.Bytes())
		require.NoError(b, err)
		require.NoError(b, w.Close())
		return time.Since(began)
	}
	var few, many time.Duration
	for b.Loop() {
		few += measure(one)
		many += measure(hundred)
	}
	b.ReportMetric(0, "ns/op") // both together: of no use
	rate := func(d time.Duration) float64 { return float64(output.Len()) * float64(b.N) / d.Seconds() / (1 << 20) }
	b.ReportMetric(rate(few), "1-MiB/s")
	b.ReportMetric(rate(many), "100-MiB/s")
	b.ReportMetric(float64(many)/float64(few), "100:1")
}
