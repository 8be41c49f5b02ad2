// Package api is attune over HTTP: it takes events in and shows what became of them.
//
// # Authority
//
// The API owns nothing. An event, its enforcements and the messages that must follow are written by one call of an
// [Ingest], in one transaction. Before that call, the API only checks who sends the request. All other operations read, or
// pass on a request for a change of a queue, a rule, an enforcement or an execution. The API also runs the checks of
// package doctor: its process has the credentials of the services, and an operator may be able to reach only the API.
//
// # Guarantees
//
// A 202 means that the event is recorded, and that everything it sets in motion will happen, even if every process stops
// afterwards. A caller that sends a dedup key can repeat a request whose response was lost: the API returns the same event.
//
// Every response that is not a success is a problem document (RFC 9457): see [Problem]. Its code is stable, its detail is
// for a person. The cause of an internal error goes to the log only, under the id in the response header X-Request-Id.
//
// # Access
//
// Everything under /api/v1/ needs a bearer token, except webhooks, which are signed; unknown paths need one too. Each route asks
// for a right of its caller: see package auth. The server does not start with a route that declares neither a right nor that it is
// public. /livez, /readyz and /metrics are public. The API compares tokens and signatures in constant time. It refuses requests that a
// browser sends on behalf of another site.
//
// # Limits
//
// A payload and the parameters of a run have at most [attune.MaxPayloadBytes], a request body 64 KiB more. The form of a webhook
// may have three times the payload, because it escapes bytes. A request that takes longer than
// [Config.RequestTimeout] gets a 503. A page of a list has at most [attune.MaxPageLimit] items. Lists leave out large
// fields (payloads, parameters, output); reading the single item returns them.
//
// A server bounds what all callers can use of it: connections (see [Config.MaxConnections]), the bytes of all bodies in memory, and
// the bytes of the bodies that are decoded at one time. When a bound is reached, the server drops the caller that has kept it
// waiting longest: callers that are slow on purpose push out each other. A caller, a webhook or an address with failed authentications that
// is above its rate gets a 429. These limits count in one process.
package api
