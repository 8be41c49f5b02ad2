package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// BenchmarkFlow measures what PostgreSQL's part of one enforcement costs, step by step. Batched steps take a hundred at a
// time and report the time of one.
func BenchmarkFlow(b *testing.B) {
	const batch = 100
	perOne := func(b *testing.B) {
		b.Helper()
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/enforcement")
	}

	b.Run("record", func(b *testing.B) {
		s := setup(b)
		for b.Loop() {
			_, err := s.events.Record(b.Context(), pushEvent(), accept)
			require.NoError(b, err)
		}
	})

	b.Run("admit", func(b *testing.B) {
		s := setup(b)
		for b.Loop() {
			b.StopTimer()
			ids := s.created(b, deploy, batch)
			b.StartTimer()
			require.Len(b, s.admit(b, ids...), batch)
		}
		perOne(b)
	})

	b.Run("request", func(b *testing.B) {
		s := setup(b)
		var tickets []attune.Ticket
		for b.Loop() {
			if len(tickets) == 0 {
				b.StopTimer()
				tickets = s.admit(b, s.created(b, deploy, batch)...)
				b.StartTimer()
			}
			s.request(b, tickets[0])
			tickets = tickets[1:]
		}
	})

	b.Run("finish", func(b *testing.B) {
		s := setup(b)
		for b.Loop() {
			b.StopTimer()
			var reports []attune.ExecutionCompletedMessage
			for _, message := range s.requested(b, batch) {
				reports = append(reports, reportOf(message))
			}
			b.StartTimer()
			s.finish(b, reports...)
		}
		perOne(b)
	})
}
