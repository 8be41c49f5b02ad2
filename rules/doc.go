// Package rules decides which rules match an event, with which parameters their actions run, and in which lanes they wait.
//
// # Expressions
//
// Criteria and templates are written in CEL, the Common Expression Language. They can use two variables:
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
// Expressions can also use CEL's string, list, set, math, regex and base64 extensions, cel.bind, and optional values
// (payload.?key.orValue(default)). Numbers of different types compare as numbers.
//
// A missing key is an error, not false. To test for a key, write has(payload.key). For a default, write
// payload.?key.orValue(x). When criteria fail, it is unknown whether the rule should have matched, so the failure is recorded as
// a rejected enforcement.
//
// # Templates
//
// A rule's parameters are a JSON object. Any string in the object, at any depth, may contain expressions in double braces:
//
//	{
//	  "commit": "{{ payload.after }}",
//	  "title":  "push to {{ payload.ref.replace('refs/heads/', '') }}",
//	  "count":  "{{ size(payload.commits) }}",
//	  "author": "{{ payload.?head_commit.?author }}",
//	  "files":  ["README.md", "{{ payload.path }}"]
//	}
//
// A string that consists of one template takes the value with its type: count above is a number. An empty optional omits the
// key or the list element: author above exists only if the payload has an author. In any other string, values become text:
// strings unchanged, an empty optional as "", and all other values as compact JSON. In both cases bytes become base64,
// timestamps become RFC 3339 text, and durations become seconds ("90s"). Keys are never templates. To write two braces, write
// {{ "{{" }}.
//
// # Keys
//
// The key of a policy is an expression that chooses the lane of an enforcement. It sees event and payload, and
//
//	parameters   the parameters of the enforcement, after they were rendered and checked
//
// For a direct run, event is the recorded event of [attune.ManualTrigger]: its payload has the members action and parameters.
//
//	parameters.environment
//	parameters.region + "/" + parameters.environment
//	payload.repository.full_name
//	parameters.?tenant.orValue("internal")
//
// The text of the value names the lane: a text as it is, a number or a boolean as string() prints it. So 1, 1.0 and "1" are one lane,
// but 1000000 and 1e6 are two: string(1e6) is "1e+06". A missing member, at any depth, null and an empty optional have the lane
// [attune.NoLane]. Any other value, a text that [attune.LaneName.Validate] refuses, and any other error reject the decision.
//
// # Numbers
//
// JSON integers of up to 64 bits keep every digit (int, and uint from 2^63). Every other number becomes a double, as in most
// JSON implementations. A number out of the range of a double is refused.
//
// # Bounds
//
// The sender of an event chooses the payload. So the package checks every bound before it does the work, for any payload:
//
//   - The criteria, the templates and the key of one rule take at most 1 000 000 steps for one event, and so does the key of a direct
//     run. A step is one operation, one visited or new element of a list or map, or ten bytes of text that are read or made.
//     Sorting, comparing two lists and searching a text take several steps per element. Every function has a price. The price of a
//     call follows from its arguments, and the steps are counted before the call: see price.go.
//   - A text that an expression makes has at most 1 MiB. The rendered parameters have at most [attune.MaxPayloadBytes].
//   - A regular expression has at most 10 000 bytes and compiles to at most 10 000 instructions. format writes at most
//     100 digits behind the decimal point.
//   - An expression has at most 10 000 bytes. It cannot make messages of Protocol Buffers. All expressions of one rule's parameters
//     together, compiled, take at most 16 MiB. Lists, operators and macros nest up to about a hundred levels.
//   - The check of a value against a JSON Schema takes at most 1 000 000 steps: one for each schema that is applied to a value,
//     for each element, member and required name, and for ten bytes of text. Only a schema with several references to itself needs
//     more.
//   - A check applies at most 1000 schemas inside each other. It keeps the first mistakes of each schema that it is applying, in at
//     most 8 MiB. A compiled schema takes at most 16 MiB.
//   - The parameters of all decisions about one event have at most 8 MiB. The decisions about one event are the only ones that
//     share a bound: a rule whose parameters do not fit after those of the rules before it is rejected.
//
// So an evaluation needs at most 160 MiB of heap, garbage included, for any rule, schema and payload. A bound that it exceeds becomes
// the outcome: a rejected decision, or an error for the sender of the payload. The caches of an [Engine] take at most 320 MiB.
// Memory grows with the number of evaluations that run at the same time: package ingest bounds it.
//
// # Schemas
//
// JSON Schema checks payloads and parameters (draft 2020-12, unless "$schema" names another draft). "format" is enforced.
// "default" has no effect. A "$ref" can only refer to the same schema: nothing is read from files or the network.
//
// # Secret fields
//
// A schema marks secret parts of a document with "writeOnly": true or "format": "password". [Engine.MaskEvent] and [Engine.Manual] take
// them out. Expressions see a cover in the place of each secret field of the event: a text with a digest of the payload. After rendering, a
// secret parameter that is a cover, or has members that are, gets the values. A cover in any other place rejects the rule's
// decision. A key sees covers in the places of secret parameters, too, and a cover in its value rejects the decision. So no criteria,
// template, lane or message shows a secret, with any expression. [CheckSecretCriteria], [CheckSecretParameters],
// [CheckKeyParameters] and [CheckKeyPayload] find expressions that read secrets when a pack is loaded.
//
// # Guarantees and failures
//
// The package reads no clock, and does no I/O except reading the system's time zones. The same event and rules always give the
// same decisions. When the caller's context ends, the evaluation stops at the next iteration of a loop. An error in one rule
// becomes a rejected decision of that rule, with a reason and a detail for people. It does not affect other rules. Only the bound
// of the parameters of one event is common to its rules.
package rules
