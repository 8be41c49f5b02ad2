package supervise

import "syscall"

// maxFreezes bounds how often a tree is searched for processes that can still start others. Each search stops all that it
// finds, so that two searches are usual, and a few more for a fork bomb.
const maxFreezes = 200

// The pauses between two attempts to kill a tree, in nanoseconds. Only processes that SIGKILL does not end at once make
// more than one attempt necessary: they wait for a device, or run as a user that may not be killed.
const (
	firstPause = 1e6
	lastPause  = 1e9
)

// Tree is the set of processes below a process, without that process.
type Tree struct {
	Root int
	// Member selects among the children of Root. The tree has only the selected ones and the processes below them. Nil
	// selects all children. Its error means that it cannot know.
	Member func(Process) (bool, error)
}

// Signal sends sig to every process of the tree and returns how many there are that have not ended. An error means that it may have
// missed processes: it cannot read /proc, for example because another process has lowered the caller's limit of open files.
func (t Tree) Signal(sig syscall.Signal) (running int, err error) {
	err = t.each(func(p Process) {
		if !p.Ended() {
			running++
			p.signal(sig)
		}
	})
	return running, err
}

// Kill kills every process of the tree, and returns nil when all have ended. Their parents may still have to reap them. It returns
// an error, the one of Signal, as soon as it cannot know which processes there are.
func (t Tree) Kill() error {
	for wait := int64(firstPause); ; wait = min(2*wait, lastPause) {
		running, err := t.KillOnce()
		if err != nil || running == 0 {
			return err
		}
		pause(wait)
	}
}

// KillOnce sends SIGKILL to every process of the tree. Its results are those of Signal.
//
// A process that starts others faster than they are found and killed would survive in its children. So KillOnce first stops
// every process with SIGSTOP, which cannot be ignored, until a search finds no other one. Then nothing can start a
// process, and KillOnce sends SIGKILL to all.
func (t Tree) KillOnce() (running int, err error) {
	t.freeze()
	return t.Signal(syscall.SIGKILL)
}

// freeze stops the processes of the tree.
func (t Tree) freeze() {
	signalled := map[int]string{} // by process id, when the process was started
	for range maxFreezes {
		fresh := false
		err := t.each(func(p Process) {
			is := p.activity()
			if is == halted || (is == blocked && signalled[p.PID] == p.started) {
				return
			}
			signalled[p.PID] = p.started
			if p.signal(syscall.SIGSTOP) { // otherwise no search can stop it
				fresh = true
			}
		})
		if !fresh || err != nil {
			return
		}
	}
}

// each calls visit for every process of the tree, for most of them at once when it is found: a child usually has a higher
// id than its parent, and is found after its parent was visited.
//
// After an error, visit may have missed processes.
func (t Tree) each(visit func(Process)) error {
	var failed error
	below := map[int]bool{t.Root: true}
	belongs := func(p Process) bool {
		if !below[p.Parent] || below[p.PID] {
			return false
		}
		if p.Parent != t.Root || t.Member == nil {
			return true
		}
		member, err := t.Member(p)
		if err != nil {
			failed = err
		}
		return member
	}
	take := func(p Process) {
		below[p.PID] = true
		visit(p)
	}
	var others []Process
	err := processes(func(p Process) {
		if belongs(p) {
			take(p)
		} else if p.PID != t.Root {
			others = append(others, p)
		}
	})
	for found := true; found; { // ids have started again from the lowest
		found = false
		for _, p := range others {
			if belongs(p) {
				found = true
				take(p)
			}
		}
	}
	if err != nil {
		return err
	}
	return failed
}
