// Package attune defines the domain: the types and terms that every other package uses.
//
// An event matches rules. Each match is an enforcement. An enforcement waits in a queue. When the queue grants it a slot, it
// becomes one execution of an action; it never becomes more than one.
//
//	pack         a folder of YAML that declares triggers, actions, rules and policies under one name
//	trigger      a kind of event
//	event        one immutable thing that happened, with a JSON payload
//	rule         trigger + criteria + action + parameter templates
//	enforcement  one match of one rule to one event: the decision that an action must run
//	queue        the FIFO line of enforcements that share one concurrency limit
//	sequence     the place of an enforcement in its queue: dense, monotonic, assigned at admission
//	ticket       one place of one enforcement in its queue
//	grant        the queue's permission for one ticket to run: it gives the ticket a slot
//	execution    one run of an action, created only after the grant
//	attempt      one run of an execution's process
//	worker       the process that runs actions
//
// The package imports only the standard library. It does no I/O and reads no clock: callers pass the time.
package attune
