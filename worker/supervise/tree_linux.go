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
	// selects all children.
	Member func(Process) bool
}

// Signal sends sig to every process of the tree and returns how many there are that have not ended.
func (t Tree) Signal(sig syscall.Signal) (running int) {
	t.each(func(p Process) {
		if !p.Ended() {
			running++
			p.signal(sig)
		}
	})
	return running
}

// Kill kills every process of the tree, and returns when all have ended. Their parents may still have to reap them.
//
// A process that starts others faster than they are found and killed would survive in its children. So Kill first stops
// every process with SIGSTOP, which cannot be ignored, until a search finds no other one. Then nothing can start a
// process, and Kill sends SIGKILL to all.
func (t Tree) Kill() {
	for wait := int64(firstPause); ; wait = min(2*wait, lastPause) {
		t.freeze()
		if t.Signal(syscall.SIGKILL) == 0 {
			return
		}
		pause(wait)
	}
}

// freeze stops the processes of the tree.
func (t Tree) freeze() {
	seen := map[int]bool{}
	for range maxFreezes {
		fresh := false
		t.each(func(p Process) {
			if p.stopped() || (seen[p.PID] && p.State == 'D') {
				return // a process that waits for a device stops as soon as it could go on
			}
			seen[p.PID] = true
			if p.signal(syscall.SIGSTOP) { // otherwise no search can stop it
				fresh = true
			}
		})
		if !fresh {
			return
		}
	}
}

// each calls visit for every process of the tree, for most of them at once when it is found: a child usually has a higher
// id than its parent, and is found after its parent was visited.
func (t Tree) each(visit func(Process)) {
	below := map[int]bool{t.Root: true}
	belongs := func(p Process) bool {
		if !below[p.Parent] || below[p.PID] {
			return false
		}
		return p.Parent != t.Root || t.Member == nil || t.Member(p)
	}
	take := func(p Process) {
		below[p.PID] = true
		visit(p)
	}
	var others []Process
	processes(func(p Process) {
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
}
