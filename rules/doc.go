// Package rules decides what an event sets in motion: which rules match it, and with which parameters their actions run.
//
// # Expressions
//
// Criteria and templates are written in CEL, the Common Expression Language. Two variables are known:
//
//	event     trigger, source, received_at (a timestamp) and payload
//	payload   the event's payload, short for event.payload
//
// Criteria are one expression that yields a bool. Empty criteria match every event of the trigger.
//
//	payload.ref == "refs/heads/main"
//	payload.repository.full_name.startsWith("acme/") && !payload.deleted
//	has(payload.head_commit) && payload.head_commit.message.contains("[deploy]")
//	payload.commits.exists(c, "urgent" in c.labels)
//	payload.?pull_request.?draft.orValue(false) == false
//
// Beside CEL's own functions and macros there are its string, list, set, math, regex and base64 extensions, cel.bind,
// and optional values (payload.?key.orValue(default)). Numbers of different types compare as numbers.
//
// A key that is missing is an error, not false: has(payload.key) asks first, payload.?key.orValue(x) falls back. Whether
// a rule that failed should have matched is not known, so the failure is recorded as a rejected enforcement.
//
// # Templates
//
// A rule's parameters are a JSON object. Any string in it, at any depth, may hold expressions in double braces:
//
//	{
//	  "commit": "{{ payload.after }}",
//	  "title":  "push to {{ payload.ref.replace('refs/heads/', '') }}",
//	  "count":  "{{ size(payload.commits) }}",
//	  "author": "{{ payload.?head_commit.?author }}",
//	  "files":  ["README.md", "{{ payload.path }}"]
//	}
//
// A string that is one template and nothing else takes the value with its type: count above is a number. An empty
// optional leaves its key, or its place in a list, out: author above is there only if the payload has one. In any other
// string the values are put into the text: strings as they are, everything else as compact JSON, an empty optional as
// nothing. Bytes become base64, timestamps RFC 3339 and durations seconds ("90s"), in both cases. Keys are never
// templates. To write two braces, write {{ "{{" }}.
//
// # Numbers
//
// JSON integers of up to 64 bits keep every digit (int, and uint from 2^63). Every other number is a double, as in most
// JSON implementations; one that a double cannot hold is refused.
//
// # Schemas
//
// Payloads and parameters are checked by JSON Schema (draft 2020-12 unless "$schema" says otherwise). "format" is
// enforced, "default" fills nothing in, and a "$ref" reaches only into the same schema: nothing is read from files or
// the network.
//
// # Guarantees and failures
//
// The package has no I/O and no clock. The same event and rules always give the same decisions. Every expression has a
// size limit and a cost limit, every result a size limit, so no payload can make a rule run for long or answer with more
// than [attune.MaxPayloadBytes]. What goes wrong with one rule becomes that rule's decision, rejected with a reason and
// a detail for a person, and never touches another rule.
package rules
