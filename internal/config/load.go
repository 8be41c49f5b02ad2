package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/attune-go/attune"
)

// maxSecretBytes bounds a file that holds a secret; a larger one is some other file.
const maxSecretBytes = 64 << 10

// input is what one layer says about a setting.
type input struct {
	values []string
	from   string // "--flag", "VARIABLE", "file:line" or "default"
	isFile bool   // the value is the path of a file that holds it
}

// Load reads every layer and returns the process's configuration. lookup reads the environment; pass [os.LookupEnv].
//
// The error is an [attune.CodeInvalid] that lists everything that is wrong, one problem a line, each with the place the
// value came from. What a role needs is checked by [Config.Validate], because some commands bring it themselves.
func Load(flags *Flags, lookup func(string) (string, bool)) (Config, error) {
	l := &loader{inputs: map[string]input{}, lookup: lookup, flags: flags}
	l.defaults()
	l.file()
	l.environment()
	l.commandLine()
	config := l.apply()
	return config, report(l.problems)
}

// report joins problems into one error; none is no error.
func report(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return attune.Errorf(attune.CodeInvalid, "configuration: %s", strings.Join(problems, "\n  and: "))
}

type loader struct {
	inputs   map[string]input
	lookup   func(string) (string, bool)
	flags    *Flags
	problems []string
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *loader) defaults() {
	for _, s := range Settings() {
		if s.Default != "" {
			l.inputs[s.Name] = input{values: s.split(s.Default), from: "default"}
		}
	}
}

// split returns the values of a setting that are given in one text.
func (s Setting) split(text string) []string {
	switch s.List {
	case ListWords:
		return splitWords(text)
	case ListPaths:
		return splitPaths(text)
	default:
		return []string{text}
	}
}

func (l *loader) file() {
	path, from := l.env(configFileEnv), configFileEnv
	if l.given(configFileFlag) {
		path, from = l.flags.set.Lookup(configFileFlag).Value.String(), "--"+configFileFlag
	}
	if path == "" {
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		l.problem("%s: read the settings file: %v", from, err)
		return
	}
	found, problems := parseFile(path, data)
	l.problems = append(l.problems, problems...)
	for _, s := range Settings() {
		l.take(s, found[s.Name], found[s.fileName()])
	}
}

func (l *loader) environment() {
	for _, s := range Settings() {
		var direct, byFile input
		if text := l.env(s.Env); text != "" {
			direct = input{values: s.split(text), from: s.Env}
		}
		if text := l.env(s.fileEnv()); s.Secret && text != "" {
			byFile = input{values: []string{text}, from: s.fileEnv()}
		}
		l.take(s, direct, byFile)
	}
}

func (l *loader) commandLine() {
	for _, s := range Settings() {
		var direct, byFile input
		if s.Flag != "" && l.given(s.Flag) {
			direct = input{values: l.flagValues(s), from: "--" + s.Flag}
		}
		if s.Secret && l.given(s.fileFlag()) {
			byFile = input{values: []string{l.flags.set.Lookup(s.fileFlag()).Value.String()}, from: "--" + s.fileFlag()}
		}
		l.take(s, direct, byFile)
	}
}

// take makes what a layer says about a setting the current input. Saying it twice in one layer is a mistake.
func (l *loader) take(s Setting, direct, byFile input) {
	byFile.isFile = true
	switch {
	case direct.from != "" && byFile.from != "":
		l.problem("%s and %s: both give %s: keep one of them", direct.from, byFile.from, s.Name)
	case direct.from != "":
		l.inputs[s.Name] = direct
	case byFile.from != "":
		l.inputs[s.Name] = byFile
	}
}

// apply parses the input that won for each setting.
func (l *loader) apply() Config {
	config := Config{origins: map[string]string{}}
	for _, s := range Settings() {
		in, ok := l.inputs[s.Name]
		if !ok {
			continue
		}
		values, err := in.read()
		if err == nil {
			err = s.parse(&config, values)
		}
		if err != nil {
			l.problem("%s: %s %v", in.from, s.Name, err)
		}
		config.origins[s.Name] = in.from
	}
	if config.WorkerName == "" {
		l.nameWorker(&config)
	}
	return config
}

// read returns the values, from the file that holds them if need be.
func (in input) read() ([]string, error) {
	if !in.isFile {
		return in.values, nil
	}
	path := in.values[0]
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretBytes {
		return nil, fmt.Errorf("%q is not a regular file of at most %d KiB", path, maxSecretBytes>>10)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return nil, fmt.Errorf("%q is empty: put the value into it", path)
	}
	return []string{text}, nil
}

// nameWorker gives the worker a name that no other process of the host has. A container is a host of its own, unless it
// was given the name of another; there the process has the same id after each start.
func (l *loader) nameWorker(config *Config) {
	const origin = "host name and process id"
	host, err := os.Hostname()
	if err == nil {
		config.WorkerName, err = workerName(fmt.Sprintf("%s-%d", host, os.Getpid()))
	}
	if err != nil {
		l.problem("%s: worker.name %v; set --worker-name or ATTUNE_WORKER_NAME", origin, err)
	}
	config.origins["worker.name"] = origin
}

// env returns a variable's value; set but empty is the same as not set, as compose files like to do.
func (l *loader) env(name string) string {
	value, _ := l.lookup(name)
	return value
}

func (l *loader) given(flag string) bool {
	return l.flags != nil && l.flags.set.Changed(flag)
}

func (l *loader) flagValues(s Setting) []string {
	value := l.flags.set.Lookup(s.Flag).Value
	if list, ok := value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{value.String()}
}
