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
// # Bounds
//
// The sender of an event chooses the payload, so every bound holds before the work is done, for any payload:
//
//   - One rule takes at most 1 000 000 steps for one event: its criteria and all its templates together. A step is one
//     operation, one element of a list or map that is visited or made, or ten bytes of text that are read or made.
//     Sorting, comparing lists with lists and searching a text take more than one step for an element. Every call has a
//     price, which is known from its arguments and paid before the call: the table in price.go has them all.
//   - A text that an expression makes has at most 1 MiB, the rendered parameters [attune.MaxPayloadBytes].
//   - A regular expression has at most 10 000 bytes and compiles to at most 10 000 instructions. format writes at most
//     100 digits behind the point.
//   - An expression has at most 10 000 bytes. Messages of Protocol Buffers cannot be made.
//   - Checking a value against a JSON Schema takes at most 1 000 000 steps: one for each schema that looks at a value, for
//     each element and member, and for ten bytes of text. Only a schema that refers to itself in several ways needs more.
//
// # Schemas
//
// Payloads and parameters are checked by JSON Schema (draft 2020-12 unless "$schema" says otherwise). "format" is
// enforced, "default" fills nothing in, and a "$ref" reaches only into the same schema: nothing is read from files or
// the network.
//
// # Guarantees and failures
//
// The package has no clock, and no I/O but the system's time zones. The same event and rules always give the same
// decisions. When the caller's context ends, the evaluation stops at the next iteration of a loop. What goes wrong with
// one rule becomes that rule's decision, rejected with a reason and a detail for a person, and never touches another
// rule.
package rules
