package attune_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestCheckTime(t *testing.T) {
	t.Parallel()
	for text, valid := range map[string]bool{
		"0001-01-01T00:00:00Z":      true,
		"9999-12-31T23:59:59Z":      true,
		"9999-12-31T23:59:59+23:59": true,
		"9999-12-31T23:59:59-23:59": false,
		"9999-12-31T23:59:59-00:01": false,
		"0001-01-01T00:00:00+00:01": false,
		"0000-06-01T00:00:00Z":      false,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, text)
			require.NoError(t, err)
			err = attune.CheckTime("until", at)
			if valid {
				require.NoError(t, err)
				return
			}
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			require.ErrorContains(t, err, "until: the year is")
			override := &attune.LimitOverride{Limit: 1, Until: at}
			require.ErrorContains(t, override.Validate(), "until: the year is")
			require.Error(t, attune.ChangeRequest{
				ID: "1", Kind: attune.ChangeLimit, Limit: override,
				Author: attune.Author{Principal: attune.Principal{Name: "ann", Method: attune.AuthToken}},
			}.Validate())
		})
	}
}

func TestEarlierAndLater(t *testing.T) {
	t.Parallel()
	soon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	never, later := time.Time{}, soon.Add(time.Second)
	for _, tt := range []struct{ a, b, earlier, later time.Time }{
		{soon, later, soon, later},
		{soon, soon, soon, soon},
		{soon, never, soon, soon},
		{never, never, never, never},
	} {
		require.Equal(t, tt.earlier, attune.Earlier(tt.a, tt.b))
		require.Equal(t, tt.earlier, attune.Earlier(tt.b, tt.a))
		require.Equal(t, tt.later, attune.Later(tt.a, tt.b))
		require.Equal(t, tt.later, attune.Later(tt.b, tt.a))
	}
}
