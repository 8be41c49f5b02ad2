package policy

import (
	_ "embed"
	"encoding/binary"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// zoneinfo is the IANA database, which is in the public domain, as Go distributes it in lib/time/zoneinfo.zip: an archive without
// compression. The files of the machine and time/tzdata do not do: [time.LoadLocation] prefers the former, and two machines whose files
// differ would begin the same period at different instants.
//
//go:embed zoneinfo.zip
var zoneinfo string

// Zone returns a time zone by its name in the IANA database; the empty name is UTC. Each process of a version of attune has the same
// zones. The zone of the machine is no zone of a policy.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	if data, found := archived(zoneinfo, name); found {
		if zone, err := time.LoadLocationFromTZData(name, []byte(data)); err == nil {
			return zone, nil
		}
	}
	return nil, attune.Errorf(attune.CodeInvalid, "there is no time zone %q: use a name such as \"Europe/Berlin\" or \"UTC\"",
		attune.Shorten(name, 40))
}

// The fixed parts of a ZIP archive, in bytes.
const (
	zipEntrySize = 46 // of an entry of the directory, before its name
	zipFileSize  = 30 // in front of a file, before its name
	zipEndSize   = 22 // of the end of the archive
)

// archived returns a file of a ZIP archive without compression and without a comment.
func archived(archive, name string) (data string, found bool) {
	end := archive[len(archive)-zipEndSize:]
	entries := archive[number32(end, 16):]
	for range number16(end, 10) {
		n := number16(entries, 28)
		if entries[zipEntrySize:zipEntrySize+n] == name {
			file := archive[number32(entries, 42):]
			file = file[zipFileSize+number16(file, 26)+number16(file, 28):]
			return file[:number32(entries, 24)], !strings.HasSuffix(name, "/")
		}
		entries = entries[zipEntrySize+n+number16(entries, 30)+number16(entries, 32):]
	}
	return "", false
}

func number16(s string, at int) int { return int(binary.LittleEndian.Uint16([]byte(s[at : at+2]))) }

func number32(s string, at int) int { return int(binary.LittleEndian.Uint32([]byte(s[at : at+4]))) }
