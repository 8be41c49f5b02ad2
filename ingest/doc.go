// Package ingest is the one way in: every source of events (the HTTP API, webhooks, direct runs) hands over what has arrived,
// and ingest checks it, decides what it sets in motion, and records both. A source translates what it has received and the
// answer; it writes nothing itself.
//
//	check    the source, the trigger or action, the author, the dedup key, the payload: a refusal records nothing
//	decide   which rules match, and with which parameters their actions must run: one [attune.Decision] per enforcement
//	record   event, enforcements and the messages that must follow, in one transaction
//
// # Authority
//
// The database is the authority for what has happened, for the time at which it happened, and for whether a dedup key was
// used before. The trigger's declaration is the authority for what a payload may be. An [Ingest] keeps nothing between calls
// and is safe for concurrent use, in any number of processes.
//
// # Guarantees
//
//   - An arrival is recorded as a whole or not at all. A call that returns without an error has recorded it, and what it sets
//     in motion will happen, whatever stops afterwards.
//   - The same dedup key for the same trigger, or for direct runs of the same action, is the same event, however often and
//     from wherever it arrives. The answer to a repetition is the first event with its enforcements as they are now, marked
//     as a duplicate; nothing is recorded, decided or counted again.
//   - Decisions are taken inside the transaction that records them, from the rules as they are in it. They do no I/O.
//   - Every recorded arrival that has a principal says who it was: see [attune.Event].
//
// # Failures
//
// Every error has a code: see [attune.Code]. Invalid, too large, not found and conflict are final: the same arrival is
// refused again. Unavailable is not: the arrival may or may not have been recorded, and a source that is to record it once
// repeats it with the same dedup key. A rule that cannot be evaluated is no failure: its enforcement is recorded as rejected.
package ingest
