package policy_test

import (
	"archive/zip"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/policy"
)

// Every zone of the shipped database can be used, and is what the archive has.
func TestZone_EveryZone(t *testing.T) {
	t.Parallel()
	archive, err := zip.OpenReader("zoneinfo.zip")
	require.NoError(t, err)
	defer func() { require.NoError(t, archive.Close()) }()
	require.Greater(t, len(archive.File), 500)
	summer := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, file := range archive.File {
		content, err := file.Open()
		require.NoError(t, err)
		data, err := io.ReadAll(content)
		require.NoError(t, err)
		want, err := time.LoadLocationFromTZData(file.Name, data)
		require.NoError(t, err, file.Name)
		_, offset := summer.In(want).Zone()
		_, got := summer.In(zone(t, file.Name)).Zone()
		require.Equal(t, offset, got, file.Name)
	}
}

// The zones do not depend on the files of the machine.
func TestZone_NotOfTheMachine(t *testing.T) {
	t.Setenv("ZONEINFO", t.TempDir()) // time.LoadLocation looks there first
	berlin, err := policy.Zone("Europe/Berlin")
	require.NoError(t, err)
	_, offset := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC).In(berlin).Zone()
	require.Equal(t, 7200, offset)
}

func BenchmarkZone(b *testing.B) {
	for b.Loop() {
		if _, err := policy.Zone("Pacific/Wallis"); err != nil { // near the end of the archive
			b.Fatal(err)
		}
	}
}
