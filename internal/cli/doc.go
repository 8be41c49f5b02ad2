// Package cli is attune's command line: the server, the development environment, the demo and the commands around them.
//
// Exit codes: 0 success, 1 failure, 2 wrong usage. The result of a command goes to standard output; logs and errors go to
// standard error. Output for people shows control characters as escapes; JSON keeps its texts as they are.
package cli
