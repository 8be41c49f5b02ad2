// Package secrecy keeps the secrets of this process from the other processes of its user, and so from the actions that a
// worker runs as that user.
//
// [Protect] hides the process on Linux: a process of the same user can neither attach to it nor read its memory, its
// environment or its open files, and the kernel writes no core dump of it. Programs that the process starts leave no core dumps
// either, and have no file that the process has inherited, but stdin, stdout and stderr. Protect also overwrites the values of the
// variables with which the process was started, in the block that the kernel shows as /proc/<pid>/environ. A process that may trace
// every process (CAP_SYS_PTRACE, usually root) can still read the memory; it no longer sees the secrets by listing environments.
//
// [Environment] is the copy of the environment that the process itself reads. [Environment.Take] removes secrets from the
// environment that child processes inherit.
//
// Files are not protected: a process of the same user can read every file that this one can read.
package secrecy
