package api

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Patterns returns the patterns of all routes of the server, described or not.
func (s *Server) Patterns() []string { return slices.Clone(s.router.patterns) }

// OpenConnections returns how many connections of the server are open.
func (s *Server) OpenConnections() int { return s.connections.count() }

// HoldDecoding takes all that the server may decode at one time, until release.
func (s *Server) HoldDecoding(t *testing.T) (release func()) {
	t.Helper()
	require.True(t, s.bodyMemory.decoded.TryAcquire(maxDecoded))
	return func() { s.bodyMemory.decoded.Release(maxDecoded) }
}
