// Package attune is the domain: the words that every other package speaks.
//
// An event matches rules; each match is an enforcement; an enforcement waits in a queue and becomes at most one
// execution of an action, and only when its turn comes.
//
//	pack         a folder of YAML that declares triggers, actions, rules and policies under one name
//	trigger      a kind of event
//	event        one immutable thing that happened, with a JSON payload
//	rule         trigger + criteria + action + parameter templates
//	enforcement  one match of one rule to one event: the decision that an action must run
//	queue        the FIFO line of enforcements that share one concurrency limit
//	sequence     the place of an enforcement in its queue: dense, monotonic, assigned at acceptance
//	grant        the queue's permission for one enforcement to run
//	execution    one run of an action, created only after the grant
//	worker       the process that runs actions
//
// The package imports nothing but the standard library. It holds no I/O and no clock: times are given by callers.
package attune
