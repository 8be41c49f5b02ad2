// Package config is what one attune process was told: one [Config], from one table of settings.
//
// A setting is declared once, as a row of that table: its name, its default and its description. Its key in the settings file,
// its environment variable, its flag and --help follow from the row: worker.slots is also ATTUNE_WORKER_SLOTS and
// --worker-slots.
//
// Four layers are read; a later one replaces an earlier one, value by value:
//
//	default  →  settings file (--config, ATTUNE_CONFIG)  →  environment  →  flag
//
// An environment variable that is set but empty counts as not set. Lists are YAML sequences in the file. Elsewhere words
// are separated by commas; folders, which may have commas in their names, are separated in the environment like those of
// PATH, and each has a flag of its own. A secret can be given by the path of a file that holds it: append "_file" to
// its key, "_FILE" to its variable or "-file" to its flag.
//
// The file is strict: a key that is not in the table is an error, because a misspelt limit that is silently ignored is
// worse than a process that does not start. All errors are reported together, each with the place it came from.
//
// Secrets are held in a type that prints without them whatever the verb; only Reveal returns them.
//
// The connection to Temporal is not here: its own TEMPORAL_* variables and profile file are read by Temporal's library.
package config
