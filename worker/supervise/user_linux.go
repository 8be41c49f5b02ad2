package supervise

import (
	"strconv"
	"strings"
	"syscall"
)

// text returns the numbers of the user, separated by spaces: uid, gid, bound of processes, groups. It is empty for nil.
func (u *User) text() string {
	if u == nil {
		return ""
	}
	numbers := []string{number(u.UID), number(u.GID), strconv.Itoa(u.Processes)}
	for _, group := range u.Groups {
		numbers = append(numbers, number(group))
	}
	return strings.Join(numbers, " ")
}

func number(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

// parseUser is the reverse of text.
func parseUser(text string) (*User, bool) {
	if text == "" {
		return nil, true
	}
	const fixed = 3
	var numbers []uint32
	for field := range strings.SplitSeq(text, " ") {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return nil, false
		}
		numbers = append(numbers, uint32(n))
	}
	if len(numbers) < fixed {
		return nil, false
	}
	return &User{UID: numbers[0], GID: numbers[1], Processes: int(numbers[2]), Groups: numbers[fixed:]}, true
}

// credential returns what the kernel needs to start a process as the user.
func (u *User) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// limitProcesses sets the bound of the user's processes for what the supervisor starts from now on. The bound can only fall: not
// even root may raise it in a container without the capability CAP_SYS_RESOURCE. It does not hold for a supervisor that runs as
// root.
func (u *User) limitProcesses() {
	const processes = 6 // RLIMIT_NPROC
	var before syscall.Rlimit
	if u == nil || u.Processes == 0 || syscall.Getrlimit(processes, &before) != nil {
		return
	}
	most := uint64(u.Processes)
	_ = syscall.Setrlimit(processes, &syscall.Rlimit{Cur: min(most, before.Cur), Max: min(most, before.Max)})
}
