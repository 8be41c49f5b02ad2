package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// snoopVariable makes the test program an action that reads what it can of the other processes of its user.
const snoopVariable = "E2E_SNOOP"

// findings is the result of a snooping action.
type findings struct {
	UID       int       `json:"uid"`
	Processes []finding `json:"processes"`
}

// finding says what a snooping action could learn about a process.
type finding struct {
	Name string `json:"name"` // argv[0] without its folder
	// Read lists what could be read: "environ", "mem", "maps", "fd" or "cmdline"; "ptrace" if the process could be traced.
	Read []string `json:"read"`
	// Found lists what of it held one of the secrets.
	Found []string `json:"found"`
}

// backwards hides a text: the snooping action must not find its own parameters.
func backwards(text string) string {
	b := []byte(text)
	slices.Reverse(b)
	return string(b)
}

// runSnoop makes the program a snooping action if the variable says so.
func runSnoop() (isSnoop bool) {
	if os.Getenv(snoopVariable) == "" {
		return false
	}
	var parameters struct {
		Secrets []string `json:"secrets"` // backwards
		Control string   `json:"control"` // backwards; the action starts a process that has it in its environment
	}
	if err := json.NewDecoder(os.Stdin).Decode(&parameters); err != nil {
		panic(err)
	}
	control := exec.Command("sleep", "1000")
	control.Env = []string{"CONTROL=" + backwards(parameters.Control)}
	if err := control.Start(); err != nil {
		panic(err)
	}
	defer func() { _ = control.Process.Kill() }()
	s := snoop{}
	for _, secret := range append(parameters.Secrets, parameters.Control) {
		s.secrets = append(s.secrets, []byte(backwards(secret)))
	}
	if err := json.NewEncoder(os.Stdout).Encode(s.look()); err != nil {
		panic(err)
	}
	return true
}

// snoop looks for secrets.
type snoop struct{ secrets [][]byte }

// look reads every other process of the user.
func (s snoop) look() findings {
	all := findings{UID: os.Getuid()}
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		pid, _ := strconv.Atoi(filepath.Base(folder))
		status, err := os.ReadFile(folder + "/status")
		if err != nil || pid == os.Getpid() || !bytes.Contains(status, fmt.Appendf(nil, "\nUid:\t%d\t", os.Getuid())) {
			continue
		}
		all.Processes = append(all.Processes, s.process(pid, folder))
	}
	return all
}

func (s snoop) process(pid int, folder string) finding {
	commandLine, _ := os.ReadFile(folder + "/cmdline")
	name, _, _ := strings.Cut(string(commandLine), "\x00")
	f := finding{Name: filepath.Base(name)}
	note := func(what string, data []byte, err error) {
		if err != nil {
			return
		}
		f.Read = append(f.Read, what)
		if slices.ContainsFunc(s.secrets, func(secret []byte) bool { return bytes.Contains(data, secret) }) {
			f.Found = append(f.Found, what)
		}
	}
	for _, what := range []string{"cmdline", "environ", "maps"} {
		data, err := os.ReadFile(folder + "/" + what)
		note(what, data, err)
	}
	memory, err := readMemory(folder)
	note("mem", memory, err)
	files, err := readFiles(folder)
	note("fd", files, err)
	note("ptrace", nil, trace(pid))
	return f
}

// readMemory returns the readable memory of a process, without the parts that are files and at most 256 MiB.
func readMemory(folder string) ([]byte, error) {
	maps, err := os.ReadFile(folder + "/maps")
	if err != nil {
		maps = []byte("c000000000-c000400000 rw-p\n") // the heap of a Go program usually begins here
	}
	memory, err := os.Open(folder + "/mem")
	if err != nil {
		return nil, err
	}
	defer func() { _ = memory.Close() }()
	var all []byte
	for line := range strings.Lines(string(maps)) {
		var start, end int64
		var access string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &start, &end, &access); err != nil || !strings.HasPrefix(access, "rw") {
			continue
		}
		chunk := make([]byte, min(end-start, 64<<20))
		n, _ := memory.ReadAt(chunk, start)
		all = append(all, chunk[:n]...)
		if len(all) > 256<<20 {
			break
		}
	}
	if len(all) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return all, nil
}

// readFiles returns the names of the open files of a process, and the beginning of the regular ones.
func readFiles(folder string) ([]byte, error) {
	entries, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, entry := range entries {
		path := folder + "/fd/" + entry.Name()
		target, err := os.Readlink(path)
		if err != nil {
			continue
		}
		all = append(all, target...)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() < 1<<20 {
			data, _ := os.ReadFile(path)
			all = append(all, data...)
		}
	}
	return all, nil
}

// trace attaches to a process as a debugger does, and detaches.
func trace(pid int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.PtraceAttach(pid); err != nil {
		return err
	}
	_, _ = syscall.Wait4(pid, nil, 0, nil)
	return syscall.PtraceDetach(pid)
}
