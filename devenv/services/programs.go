package services

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// MissingError says that a program a service needs is not installed.
type MissingError struct {
	Service string // "PostgreSQL", "RabbitMQ" or "Temporal"
	Program string // "postgres"
	Looked  string // where it was looked for
	Advice  string // how to get it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s cannot start: %s not found (looked %s); %s", e.Service, e.Program, e.Looked, e.Advice)
}

// installPackage advises to install a Debian package.
func installPackage(name string) string { return "run: make deps (Debian package " + name + ")" }

// postgresPrograms are the two programs of one PostgreSQL installation.
type postgresPrograms struct {
	initdb, postgres string
}

// Where Debian keeps what is not on PATH, or better not taken from there.
const (
	debianPostgres = "/usr/lib/postgresql" // one folder per major version
	debianRabbitMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
)

// findPostgres looks on PATH, then in Debian's folders below root, newest first. A data folder that exists already can
// only be read by the major version that made it, so Debian's folder of that version comes before everything else.
func findPostgres(root, dataVersion string) (postgresPrograms, error) {
	folders := append(onPath("postgres"), versions(root)...)
	if dataVersion != "" {
		folders = slices.Insert(folders, 0, filepath.Join(root, dataVersion, "bin"))
	}
	for _, folder := range folders {
		found := postgresPrograms{initdb: filepath.Join(folder, "initdb"), postgres: filepath.Join(folder, "postgres")}
		if executable(found.initdb) && executable(found.postgres) {
			return found, nil
		}
	}
	return postgresPrograms{}, &MissingError{
		Service: "PostgreSQL", Program: "postgres with initdb beside it", Advice: installPackage("postgresql"),
		Looked: "on PATH and in " + root + "/*/bin",
	}
}

// onPath returns the folder of a program on PATH, links resolved: PostgreSQL finds its other files from there.
func onPath(program string) []string {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	return []string{filepath.Dir(real)}
}

// versions lists Debian's program folders, newest version first.
func versions(root string) []string {
	folders, _ := filepath.Glob(filepath.Join(root, "*", "bin")) // only a bad pattern fails
	version := func(folder string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		return number
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	return folders
}

// rabbitPrograms are the broker's start script and the name service of Erlang.
type rabbitPrograms struct {
	server, epmd string
}

// findRabbitMQ prefers the script inside Debian's package folder: the one Debian puts on PATH switches to the user
// "rabbitmq" and to the folders of the system's own broker.
func findRabbitMQ(inPackage string) (rabbitPrograms, error) {
	server := inPackage
	if !executable(server) {
		var err error
		if server, err = exec.LookPath("rabbitmq-server"); err != nil {
			return rabbitPrograms{}, &MissingError{
				Service: "RabbitMQ", Program: "rabbitmq-server", Advice: installPackage("rabbitmq-server"),
				Looked: "on PATH and at " + inPackage,
			}
		}
	}
	epmd, err := findEpmd()
	if err != nil {
		return rabbitPrograms{}, err
	}
	return rabbitPrograms{server: server, epmd: epmd}, nil
}

func findEpmd() (string, error) {
	if path, err := exec.LookPath("epmd"); err == nil {
		return path, nil
	}
	patterns := []string{"/usr/lib/erlang/erts-*/bin/epmd", "/usr/local/lib/erlang/erts-*/bin/epmd"}
	for _, pattern := range patterns {
		if paths, _ := filepath.Glob(pattern); len(paths) > 0 {
			return paths[len(paths)-1], nil
		}
	}
	return "", &MissingError{
		Service: "RabbitMQ", Program: "epmd", Advice: installPackage("erlang-base"),
		Looked: "on PATH and at " + strings.Join(patterns, ", "),
	}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
