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
// Leases: a granted claim carries a lease. The worker renews the lease until it has published the outcome. In the worker,
// a lease begins at the moment before the answered claim or renewal was sent, so the lease ends in the worker before it
// ends in the bridge. One renewal covers all leases; the worker sends one every sixth of the shortest lease. Three
// renewals in a row may fail. When the fourth fails as well, the worker ends the action:
//
//	after 3/4   the action gets SIGTERM, and its kill grace at most
//	after 15/16 the rest of its process group gets SIGKILL, whatever the reason for SIGTERM was
//	at its end  another worker may run the execution
//
// When the reply to a renewal lists an attempt as lost, the action gets SIGKILL at once, because another worker may
// already run the execution. In both cases the worker reports the attempt as abandoned (worker_lost), and the receiver of
// the report decides whether the report counts. If the action has already ended, a lost lease does not change its report.
// The worker does not run an attempt that was granted without a lease.
//
// Guarantees
//   - No process runs without a granted claim. One attempt never runs twice in one worker, however often its request is
//     delivered: the worker remembers the last 32 768 attempts.
//   - Every claimed attempt is reported with one outcome: succeeded, failed, timed_out, cancelled or abandoned. The
//     worker publishes a report again and again until the broker confirms it or the worker process ends; all copies carry
//     the same message id.
//   - A delivery stays unacknowledged until the claim is answered, and never while the process runs. After a crash before
//     the acknowledgement, the broker delivers the request again.
//   - At most [Config.Slots] actions run at once. A slot is free again when its report is confirmed. If the broker is
//     down, the worker therefore takes no more requests, and its memory stays bounded.
//   - A process sees the environment variables that its action names and a few harmless ones, and no other variable of
//     the worker. It reads its parameters from stdin. The worker keeps its output up to [Config.OutputLimit].
//   - A process has its own process group. However an action ends, the worker kills the rest of the group before it
//     reports the outcome.
//   - When a lease is over, no process of the group that ran under it is left, and none is started under it.
//   - On Linux the kernel kills the process when the worker dies in any way, SIGKILL included.
//
// Failures
//   - A process that leaves its group (setsid, a daemon) is out of reach: the worker does not kill it, and cuts off its
//     output.
//   - When the worker dies, the kernel kills only the action's first process: not the children of that process, and not a
//     program that changes its user on start (setuid). Outside Linux the kernel kills no process.
//   - A process in an uninterruptible system call survives SIGKILL. Its slot stays taken until the system call returns.
//   - A worker that is stopped alone (SIGSTOP, a debugger) cannot end its actions: they run past their leases. When the
//     worker continues, it kills them at once.
//   - Leases are measured with the monotonic clock, which on Linux stands still while the machine is suspended. After a
//     resume, an action may run although its lease is over elsewhere, until the reply to the next renewal lists it as
//     lost.
//   - When a worker is told to stop and [Config.ReportGrace] is over, the worker logs each unreported outcome as an error
//     and counts it in the error of [Worker.Run].
package worker
