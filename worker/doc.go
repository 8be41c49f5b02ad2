// Package worker runs actions as processes.
//
// A [Worker] has a fixed number of slots. A free slot takes one request, claims the attempt that the request names,
// acknowledges the delivery, runs the process, and reports the outcome:
//
//	free slot ─► Pull ─► Claim ──refused──► Ack, drop
//	                       └──granted──► Ack ─► run ─► Publish execution.completed ─► free slot
//	                          with a lease └──── Renew, until published ────┘
//
// Authority: the claim decides which worker runs an attempt, and the lease decides for how long. The worker decides only
// the outcome of the process. The worker has no database and keeps no state on disk.
//
// Trust: a request proves nothing. The worker runs the command of its own pack, and only if its action has the digest in the
// reply to its claim. The parameters come with that reply, encrypted for the claim. A [Broker] signs claims, renewals and
// reports with a key that it makes itself and keeps in memory.
//
// Leases: a granted claim carries a lease. The worker renews the lease until it has published the outcome. In the worker,
// a lease begins at the moment before the answered claim or renewal was sent, so the lease ends in the worker before it
// ends in the bridge. One renewal covers all leases; the worker sends one every sixth of the shortest lease. Three
// renewals in a row may fail. When the fourth fails as well, the worker ends the action:
//
//	after 3/4   the action gets SIGTERM, and its kill grace at most
//	after 15/16 the processes that are left get SIGKILL from the worker or the supervisor, also if SIGTERM had another reason
//	at its end  another worker may run the execution
//
// When the reply to a renewal lists an attempt as lost, the action gets SIGKILL at once, because another worker may
// already run the execution. In both cases the worker reports the attempt as abandoned (worker_lost), and the receiver of
// the report decides whether the report counts. If the action has already ended, a lost lease does not change its report.
// The worker does not run an attempt that was granted without a lease.
//
// Guarantees
//   - No process runs a command that the worker's packs do not declare, also if a message names one.
//   - No process runs without a granted claim. One attempt never runs twice in one worker, however often its request is
//     delivered: the worker remembers the last 32 768 attempts.
//   - Every claimed attempt is reported with one outcome: succeeded, failed, timed_out, cancelled or abandoned. The
//     worker publishes a report again and again until the broker confirms it or the worker process ends; all copies carry
//     the same message id.
//   - A delivery stays unacknowledged until the claim is answered, and never while the process runs. After a crash before
//     the acknowledgement, the broker delivers the request again.
//   - At most [Config.Slots] actions run at once. A slot is free again when its report is confirmed. If the broker is
//     down, the worker therefore takes no more requests, and its memory stays bounded.
//   - A process sees the environment variables that its action names and [Config.AllowEnv] allows, and those of
//     [attune.CommonEnv], and no other variable of the worker. It reads its parameters from stdin. The worker keeps its
//     output up to [Config.OutputLimit].
//   - A process has its own session and process group. However an action ends, everything that it has started has ended
//     when the worker reports the outcome: after a timeout or a cancel, all processes get SIGTERM, and SIGKILL after
//     [Config.KillGrace]; what an ended action leaves behind gets [Config.OutputGrace], and then the same.
//   - When a lease is over, no process that ran under it is left, and none is started under it, also when the worker
//     has died, hangs or is stopped (SIGSTOP). Package supervise explains how.
//   - A process has a folder of its own for its working data (ATTUNE_RUN_DIR), which is removed when the attempt has ended.
//
// Failures
//   - Outside Linux a process that leaves its group is out of reach, and the processes of a killed worker continue to run.
//   - The worker ends only processes of its machine that descend from the action: no container that a daemon starts, no
//     process on another machine.
//   - Without [Config.User], an action runs as the worker's user, and can kill, freeze or starve the worker and its own supervisor. When
//     a supervisor does not kill in time, the worker does. When the worker cannot see whether the processes of a killed supervisor have
//     ended, it goes on trying, keeps the slot, and does not report. When the action kills both, the processes that it has started live
//     on, except the first; with a cgroup, until the next worker starts in the cgroup of the worker. When it freezes the supervisor and
//     kills the worker, all live on. When it kills its supervisor only, the worker kills the other processes of the action; without a
//     cgroup, except those that have left their session and cleared or hidden their environment.
//   - A process that the worker may not signal (setuid), or that waits in an uninterruptible system call, survives SIGKILL.
//     Its slot stays taken until it ends, as long as the worker can renew the lease.
//   - A virtual machine that its host pauses has no clock that goes on. A lease that ends in the pause is over for the bridge, and the
//     action goes on after the pause until the worker or the supervisor acts by its late clock.
//   - The worker's timers run by the monotonic clock, which on Linux stands still while the machine is suspended. The supervisor
//     counts from the moment when the worker sent the claim or the renewal, by a clock that goes on. So an action whose lease has
//     ended in suspension is killed when the machine resumes, or does not start.
//   - When a worker is told to stop and [Config.ReportGrace] is over, the worker logs each unreported outcome as an error
//     and counts it in the error of [Worker.Run].
package worker
