package services

// PIDs returns the ids of the processes that were started for the service; none before the first start. Their children are not
// among them.
func (s *service) PIDs() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	pids := make([]int, len(s.processes))
	for i, p := range s.processes {
		pids[i] = p.cmd.Process.Pid
	}
	return pids
}
