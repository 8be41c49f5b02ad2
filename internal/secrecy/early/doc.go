// Package early hides the process, like [secrecy.Protect], while the Go runtime initialises packages. The other packages of attune
// take tens of milliseconds to initialise, and main runs after them: until a process is hidden, every process of its user can read
// and trace it. The package also seals the files that the process has inherited. The command imports it for these effects only. It does
// nothing outside Linux.
//
// The package imports nothing but package supervise, so that the Go runtime initialises it before nearly all others. It reports no
// error: Protect hides the process again, and does.
//
// [secrecy.Protect]: https://pkg.go.dev/github.com/attune-go/attune/internal/secrecy#Protect
package early
