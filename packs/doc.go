// Package packs reads packs: folders of YAML that declare triggers, actions, rules and policies under one name.
//
//	demo/
//	  pack.yaml        name, version, description, policy; declarations too, if there are few
//	  triggers/*.yaml  one trigger per file, named like the file
//	  actions/*.yaml   one action per file
//	  rules/*.yaml     one rule per file
//	  scripts/…        the executables of the actions, wherever the pack likes to keep them
//
// The format is described, key by key, in demo/README.md, next to a pack to copy.
//
// Guarantees: a pack is valid as a whole or not loaded at all. Valid means that every key is known and in its range,
// every reference leads somewhere, every expression, template and schema compiles, and every executable is there and may
// be executed. What is constant in a rule's parameters fits the schema of its action. The digest depends on what is
// declared, not on how it is written down.
//
// Failures: whatever is wrong is found in one go and returned as one [LoadError], each with file, line and column. Line and
// column lead to the mistake itself, also inside an expression that goes over several lines. Environment variables are
// named in packs, never read here: a pack holds no secret.
package packs
