// Package supervise runs a supervisor: a small process between the worker and one action at a time.
//
//	worker ──control socket──► supervisor (subreaper) ──► action ──► everything that the action starts
//	   └──────── stdin, stdout, stderr ────────────────────┘
//
// The supervisor is the same program file as the worker. Every program that links this package becomes a supervisor when
// its first argument (argv[0]) is [Name]. The supervisor then ends the program: main does not run. When everything that an
// action has started is gone, the worker sends the next action, because the start of a process is the largest part of a run.
//
// A process whose parent ends becomes a child of its nearest ancestor that is a subreaper. So everything that the action
// starts stays below the supervisor, also a daemon that has left its process group and its session, and the tree is gone
// when the supervisor has no child left. The kernel answers this question, not a list that the supervisor keeps.
//
// The worker sends a [Command] for each change of the lease and for each signal. The supervisor kills the whole tree
// without a command in two cases:
//
//   - the control socket is closed: the worker has ended, by itself or killed;
//   - the deadline of the lease has passed: the worker hangs, is stopped (SIGSTOP), or the machine was suspended.
//
// No parent-death signal ends the supervisor. The kernel sends such a signal when the parent's *thread* ends, and a Go
// program ends threads at any time; the socket is bound to the process. The supervisor may have the harmless SIGCONT as
// its parent-death signal, in case the action has stopped it. The action has SIGKILL: when the action kills its supervisor,
// the kernel kills the action's first process, and what is left becomes a child of the worker, which is a subreaper too (see
// [Adopt]) and kills it (see [KillOrphans]).
//
// Where the worker may create cgroups, the actions of a supervisor have one, as the second answer to the question what an
// action has started. A supervisor that has killed its cgroup runs no other action: see [ErrSpent] and [KillCgroup].
//
// A supervisor reads the parameters and the environment of actions, so it hides from them: see [Hide].
//
// An action of the same user can change the limits of its supervisor, such as the number of open files. The supervisor opens what it
// needs at its start, and restores its [Limits] before each action and before it kills. If it cannot search /proc, it kills its children,
// and their children, which become its own, until it has none. An action of the same user can also stop, freeze or starve the supervisor.
// Then the worker kills the tree and the supervisor.
//
// Cost: the package imports nothing but syscall and what syscall links. The Go runtime therefore initialises it before
// nearly all other packages of the program, and a supervisor starts without their memory and time.
//
// The package supervises on Linux only. On other systems it is empty.
package supervise
