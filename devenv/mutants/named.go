package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
)

// survivor is a mutant that may survive.
type survivor struct {
	Mutant name   `yaml:",inline"`
	Reason string `yaml:"reason"`
}

// readNamed reads the mutants that may survive, each with its reason.
func readNamed(file string) ([]survivor, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []survivor
	if err := yaml.UnmarshalWithOptions(data, &all, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, s := range all {
		if s.Mutant.File == "" || s.Mutant.Line == "" || s.Mutant.Type == "" || strings.TrimSpace(s.Reason) == "" {
			return nil, fmt.Errorf("%s: %s: file, line, type and reason are needed", file, s.Mutant)
		}
	}
	return all, nil
}

// compare lists the mutants of a folder that survive without an entry, and the entries whose mutant does not survive.
func compare(folder string, mutants []mutant, named []survivor) []string {
	expected := map[name]bool{}
	for _, s := range named {
		if strings.HasPrefix(s.Mutant.File, folder+"/") {
			expected[s.Mutant] = false
		}
	}
	var problems []string
	known := map[name]status{}
	for _, m := range mutants {
		_, isExpected := expected[m.name]
		switch {
		case m.status.survives() && isExpected:
			expected[m.name] = true
		case m.status.survives():
			problems = append(problems, fmt.Sprintf("%s: %s without an entry: %s", m.at, strings.ToLower(string(m.status)), m.name))
		}
		known[m.name] = m.status
	}
	for _, s := range named {
		survives, isExpected := expected[s.Mutant]
		switch status, exists := known[s.Mutant]; {
		case !isExpected || survives:
		case !exists:
			problems = append(problems, fmt.Sprintf("entry without a mutant: %s", s.Mutant))
		default:
			problems = append(problems, fmt.Sprintf("entry for a mutant that is %s: %s", strings.ToLower(string(status)), s.Mutant))
		}
	}
	return problems
}
