// Package auth decides who a caller of the API is, and what the caller may do.
//
// # Roles
//
// A caller has one [Role]. A role has rights, and each route of the API asks for one [Right]:
//
//	            identity  read  send_events  run  operate  administer
//	viewer         x       x
//	operator       x       x        x         x      x
//	admin          x       x        x         x      x         x
//	worker         x
//	event          x                x  (only the triggers of its token)
//
// The role worker has no other right: worker processes use the broker, and send no requests to the API.
//
// # Authority
//
// The settings of the process are the authority for the bootstrap token. The database is the authority for all other tokens, and
// the configured issuer for JSON web tokens. An [Authenticator] asks them in this order and owns nothing.
package auth
