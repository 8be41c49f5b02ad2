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

// MissingError is the error of a required program that is not installed.
type MissingError struct {
	Service  string // "PostgreSQL", "RabbitMQ" or "Temporal"
	Program  string // "postgres"
	Searched string // the searched places
	Advice   string // how to install the program
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s cannot start: %s not found (searched %s); %s", e.Service, e.Program, e.Searched, e.Advice)
}

// installPackage advises the installation of a Debian package.
func installPackage(name string) string { return "run: make deps (Debian package " + name + ")" }

// postgresPrograms are two programs of the same PostgreSQL installation.
type postgresPrograms struct {
	initdb, postgres string
}

// Debian's folders of programs that are not on PATH, or whose version on PATH is unsuitable.
const (
	debianPostgres = "/usr/lib/postgresql" // one folder per major version
	debianRabbitMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
)

// findPostgres searches PATH, then Debian's folders below root, newest first. Only the major version that created the
// data can read an existing data folder, so Debian's folder of that version comes first.
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
		Searched: "on PATH and in " + root + "/*/bin",
	}
}

// onPath returns the folder of a program on PATH, links resolved, because PostgreSQL finds its other files from there.
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
	folders, _ := filepath.Glob(filepath.Join(root, "*", "bin")) // only an invalid pattern fails
	version := func(folder string) int {
		number, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		return number
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	return folders
}

// rabbitPrograms are the broker's start script and Erlang's name service.
type rabbitPrograms struct {
	server, epmd string
}

// findRabbitMQ prefers the script in Debian's package folder: Debian's script on PATH switches to the user "rabbitmq" and
// to the folders of the system's own broker.
func findRabbitMQ(inPackage string) (rabbitPrograms, error) {
	server := inPackage
	if !executable(server) {
		var err error
		if server, err = exec.LookPath("rabbitmq-server"); err != nil {
			return rabbitPrograms{}, &MissingError{
				Service: "RabbitMQ", Program: "rabbitmq-server", Advice: installPackage("rabbitmq-server"),
				Searched: "on PATH and at " + inPackage,
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
		Searched: "on PATH and at " + strings.Join(patterns, ", "),
	}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
