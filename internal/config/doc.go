// Package config reads the configuration of one attune process: one [Config], from one table of settings.
//
// A row of the table declares a setting: its name, its default and its description. The key in the settings file, the
// environment variable, the flag and the text of --help follow from the row. The setting worker.slots is also
// ATTUNE_WORKER_SLOTS and --worker-slots.
//
// [Load] reads four layers. A value in a later layer replaces the value of an earlier layer:
//
//	default  →  settings file (--config, ATTUNE_CONFIG)  →  environment  →  flag
//
// An environment variable that is set but empty counts as not set. A list is a YAML sequence in the file. In a variable or a
// flag, commas separate a list of words. Folders may contain commas: a variable separates them like PATH, and each folder has
// its own flag. A secret can be given as the path of a file that contains it: append "_file" to its key, "_FILE" to its variable
// or "-file" to its flag.
//
// The file is strict: an unknown key is an error, because a misspelt setting must not be ignored. [Load] reports all errors
// together, each with the place of the wrong value.
//
// A secret has the type [Secret]: no print, log line or JSON document shows it. Only [Secret.Reveal] returns it.
//
// The connection to Temporal is not part of the configuration: Temporal's library reads its own TEMPORAL_* variables and profile
// file.
package config
