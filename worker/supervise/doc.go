// Package supervise runs the supervisor of one attempt: a small process between the worker and the action.
//
//	worker ──control socket──► supervisor (subreaper) ──► action ──► everything that the action starts
//	   └──────── stdin, stdout, stderr ────────────────────┘
//
// The supervisor is the same program file as the worker. Every program that links this package becomes a supervisor when
// its first argument (argv[0]) is [Name]; see [Arguments]. The supervisor then ends the program: main does not run.
//
// A process whose parent ends becomes a child of its nearest ancestor that is a subreaper. So everything that the action
// starts stays below the supervisor, also a daemon that has left its process group and its session, and the tree is gone
// when the supervisor has no child left. The kernel answers this question, not a list that the supervisor keeps.
//
// The worker sends a [Command] for each change of the lease and for each signal. The supervisor kills the whole tree
// without a command in two cases:
//
//   - the control socket is closed: the worker has ended, in whatever way;
//   - the deadline of the lease has passed: the worker hangs, is stopped (SIGSTOP), or the machine was suspended.
//
// The supervisor has no parent-death signal. The kernel sends such a signal when the parent's *thread* ends, and a Go
// program ends threads at any time; the socket is bound to the process. The action has one (SIGKILL): when the action
// kills its supervisor, the kernel kills the action's first process, and what is left becomes a child of the worker,
// which is a subreaper too (see [Adopt]) and kills it (see [Tree.Kill]).
//
// Cost: the package imports nothing but syscall and what syscall links. The Go runtime therefore initialises it before
// nearly all other packages of the program, and a supervisor starts in about the time of an empty Go program.
//
// The package supervises on Linux only. On other systems it is empty.
package supervise
