// Package cli is attune's command line: the server, the development environment, the demo and the commands around them.
//
// Exit codes: 0 success, 1 failure, 2 wrong usage. What a person asked for goes to standard output, everything else to
// standard error.
package cli
