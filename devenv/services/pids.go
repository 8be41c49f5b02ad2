package services

// PIDs returns the ids of the service's processes, without their children; none before the first start.
func (s *service) PIDs() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	pids := make([]int, len(s.processes))
	for i, p := range s.processes {
		pids[i] = p.cmd.Process.Pid
	}
	return pids
}
