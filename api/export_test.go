package api

import "slices"

// Patterns returns the patterns of all routes of the server, described or not.
func (s *Server) Patterns() []string { return slices.Clone(s.router.patterns) }

// OpenConnections returns how many connections of the server are open.
func (s *Server) OpenConnections() int { return s.connections.count() }
