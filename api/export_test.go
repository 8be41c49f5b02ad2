package api

// OpenConnections returns how many connections of the server are open.
func (s *Server) OpenConnections() int { return s.connections.count() }
