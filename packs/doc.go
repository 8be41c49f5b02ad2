// Package packs reads packs: folders of YAML that declare triggers, actions, shared queues, rules and policies under one name.
//
//	demo/
//	  pack.yaml        name, version, description, policy; declarations too, if there are few
//	  triggers/*.yaml  one trigger per file, named like the file
//	  actions/*.yaml   one action per file
//	  queues/*.yaml    one shared queue per file
//	  rules/*.yaml     one rule per file
//	  scripts/…        the executables of the actions; any folder will do
//
// demo/README.md describes every key of the format, next to a pack to copy.
//
// Guarantees: a pack is valid as a whole or not loaded at all. In a valid pack, every key is known and its value in range, every
// reference has a target, every expression, template and schema compiles, and every executable exists and is executable. The
// constant parts of a rule's parameters fit the schema of its action. No rule and no key of a policy shows a secret field, by the
// schemas of the packs that are loaded together. The digest depends on the declarations, not on how they
// are written or spread over files.
//
// Failures: all errors are returned together as one [LoadError], each with file, line and column. Line and column point at the
// error itself, also inside an expression of several lines. Packs name environment variables, and this package never reads
// them: a pack holds no secret.
package packs
