// Package ingest records events. Every source (the HTTP API, webhooks, direct runs) passes its arrivals to this package. A
// source only translates requests and answers.
//
//	check    the source, the trigger or action, the author, the dedup key, the payload: a refusal records nothing
//	decide   which rules match, with which parameters their actions must run, and in which lane they wait: one [attune.Decision] per
//	         enforcement
//	record   the event, its enforcements and the outbox messages, in one transaction
//
// # Authority
//
// The database is the authority for recorded events, for their times, and for used dedup keys. The trigger's schema is the
// authority for valid payloads. An [Ingest] has no state between calls. It is safe for concurrent use, in any number of
// processes.
//
// # Guarantees
//
//   - An arrival is recorded as a whole or not at all. When a call returns without an error, the event and its enforcements are
//     recorded, and a later crash loses none of them.
//   - Two arrivals with the same dedup key are the same event, from whichever source they come. A dedup key belongs to one
//     trigger or, for direct runs, to one action. The answer to a repetition is the first event with the current status of its
//     enforcements, marked as a duplicate. A repetition records, decides and counts nothing.
//   - Decisions are made inside the transaction that records them, from the rules that this transaction reads. They do no I/O.
//   - One process evaluates at most [Deps.Evaluations] arrivals at the same time. Package rules bounds the memory of each evaluation,
//     so the memory of all of them is bounded. Other arrivals wait in the order of their calls. An arrival that waits leaves when its
//     context ends, with the code unavailable, and is not recorded.
//   - The event of an arrival with a principal records the principal: see [attune.Event].
//
// # Failures
//
// Every error has a code: see [attune.Code]. Invalid, too large, not found and conflict are final: the same arrival would be
// refused again. After unavailable, the arrival may or may not be recorded: the source repeats it with the same dedup key, and
// then it is recorded once. A rule or a key that cannot be evaluated is not an error: its enforcement is recorded as rejected.
package ingest
