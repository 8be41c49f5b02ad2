package config

import (
	"fmt"
	"strings"
)

// Markdown returns the reference table of all settings, for the documentation.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| key in the file | environment | flag | default | meaning |\n|---|---|---|---|---|\n")
	for _, s := range Settings() {
		row(&b, s.Name, s.Env, s.Flag, s.Default, s.Doc)
		if s.Secret {
			row(&b, s.fileName(), s.fileEnv(), s.fileFlag(), "", "file that holds "+s.Name)
		}
	}
	row(&b, "", configFileEnv, configFileFlag, "", configFileDoc)
	return b.String()
}

func row(b *strings.Builder, name, env, flag, defaultValue, doc string) {
	if flag != "" {
		flag = "--" + flag
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", code(name), code(env), code(flag), code(defaultValue), doc)
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
