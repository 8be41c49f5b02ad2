// Package worker runs actions as processes.
//
// One [Worker] has a fixed number of slots. A free slot takes one request, claims the attempt it is about, acknowledges
// the delivery, runs the process, and reports how it ended:
//
//	free slot ─► Take ─► Claim ──refused──► Ack, drop
//	                       └──granted──► Ack ─► run ─► Publish execution.completed ─► free slot
//	                          with a lease └──── Renew, until published ────┘
//
// Authority: the claim decides who runs an attempt, and its lease for how long; the worker decides nothing but how the
// process ended. It has no database and keeps nothing on disk.
//
// Leases: a granted claim carries a lease, and the worker renews the lease until it has published the outcome. The worker
// counts a lease from the moment before it sent the request that was answered, so a lease ends in the worker before it ends
// in the bridge that granted it. One request renews all leases, every sixth of the shortest lease. Three requests in a row
// may fail; when the fourth fails as well, the worker ends the action:
//
//	after 3/4   the action gets SIGTERM, and its kill grace at most
//	after 15/16 what is left of its process group gets SIGKILL, whatever it was being ended for
//	at its end  another worker may run the execution
//
// When the reply to a renewal lists an attempt as lost, its action gets SIGKILL at once: another worker may run the
// execution already. Either way the worker reports the attempt as abandoned (worker_lost), and the receiver of the report
// decides whether it still counts. A lost lease does not change the report of an action that has ended. The worker does not
// run an attempt that was granted without a lease.
//
// Guarantees
//   - Nothing runs without a granted claim, and one attempt never runs twice in one worker, however often its request is
//     delivered: the last 32 768 attempts are remembered.
//   - Every claimed attempt is reported, with one outcome: succeeded, failed, timed_out, cancelled or abandoned. A
//     report that cannot be published is published again for as long as the process lives; copies carry the same
//     message id.
//   - A delivery is held until the claim is answered and never while the process runs. A crash before the
//     acknowledgement brings the request back.
//   - Never more than [Config.Slots] actions at once. A slot is free again when its report is out, so a broker that is
//     away stops the worker from taking more, and memory stays bounded.
//   - A process sees the environment variables its action names and a few harmless ones, never the rest of the
//     worker's; it gets its parameters on stdin, and its output is kept up to [Config.OutputLimit].
//   - A process has its own process group. However an action ends, what is left of its group is killed before the
//     outcome is reported.
//   - When a lease is over, nothing is left of the process group that ran under it, and nothing is started any more.
//   - On Linux the kernel kills the process when the worker dies in any way, SIGKILL included.
//
// Failures
//   - A process that leaves its group (setsid, a daemon) is out of reach: it is not killed and its output is cut off.
//   - The death of the worker kills the action's own process only, not what that process started, and not a program
//     that changes its user on start (setuid). Outside Linux it kills nothing.
//   - A process in an uninterruptible system call survives SIGKILL. Its slot stays taken until the kernel lets go.
//   - A worker that is stopped alone (SIGSTOP, a debugger) cannot end anything: its actions run on, past their lease, until
//     the worker goes on and kills them at once.
//   - Leases are measured by the monotonic clock, which on Linux stands still while the machine is suspended. After a
//     resume actions may run on, under a lease that is over elsewhere, until the next renewal is answered with "lost".
//   - When a worker is told to stop and the time to publish is over, what could not be reported is logged as an error
//     and counted in the error of [Worker.Run].
package worker
