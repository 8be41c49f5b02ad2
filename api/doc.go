// Package api is attune over HTTP: it takes events in and shows what became of them.
//
// # Authority
//
// The API owns nothing. An event, the enforcements it causes and the messages that must follow are written by one call
// of an [EventRecorder], in one transaction; the API only decides beforehand whether the caller may and whether the
// payload fits. Everything else is reading, and requests for change (of a queue, a rule, an enforcement or an execution)
// that are passed on. What an operator would check is checked here too, by package doctor: the API is where the
// credentials of the services are, and an operator may reach nothing else.
//
// # Guarantees
//
// A 202 means that the event is recorded and that what it sets in motion will happen, whatever stops afterwards. An
// answer that is lost is no loss for a caller who sends a dedup key: asking again gives the same event.
//
// Every answer that is not a success is a problem document (RFC 9457): see [Problem]. Its code is stable, its detail is
// for a person. What went wrong inside attune goes to the log under the id that the X-Request-Id header of the answer
// carries, never over HTTP.
//
// # Who may
//
// Everything under /api/v1/ needs the bearer token, except webhooks, which are signed. A route is closed unless it says
// otherwise, unknown paths included. /livez, /readyz and /metrics are open. Tokens and signatures are compared in
// constant time. Requests that a browser sends on behalf of another site are refused.
//
// # Limits
//
// A payload has at most [attune.MaxPayloadBytes], a request body 64 KiB more. A request that takes longer than
// [Config.RequestTimeout] is answered with 503. Lists are cut into pages of at most [attune.MaxPageLimit] and leave out
// what is large (payloads, parameters, output); the single thing has all of it.
package api
