package auth_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune/auth"
)

var tokenForm = regexp.MustCompile(`^att_[a-z2-7]{8}_[a-z2-7]{38}$`)

func TestNewToken(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		text, secret := auth.NewToken()
		require.Regexp(t, tokenForm, text)
		require.Equal(t, text[4:12], secret.Prefix)
		require.Equal(t, sha256.Sum256([]byte(text)), secret.Digest)
		require.False(t, seen[secret.Prefix] || seen[text[13:]], "prefix and secret are random")
		seen[secret.Prefix], seen[text[13:]] = true, true
		parsed, ok := auth.ParseToken(text)
		require.True(t, ok)
		require.Equal(t, secret, parsed)
		require.True(t, parsed.Is(secret))
	}
}

func TestParseToken(t *testing.T) {
	t.Parallel()

	t.Run("a token with one other character is refused", func(t *testing.T) {
		t.Parallel()
		text, _ := auth.NewToken()
		for i := range text {
			for _, other := range []byte("a7b_A0 \x00\xff") {
				if text[i] == other {
					continue
				}
				_, ok := auth.ParseToken(text[:i] + string([]byte{other}) + text[i+1:])
				require.False(t, ok, "%d", i)
			}
		}
	})

	t.Run("a text of another length is refused", func(t *testing.T) {
		t.Parallel()
		text, _ := auth.NewToken()
		for i := range text {
			_, ok := auth.ParseToken(text[:i])
			require.False(t, ok)
		}
		for _, other := range []string{text + "a", " " + text, text + " ", strings.ToUpper(text), ""} {
			_, ok := auth.ParseToken(other)
			require.False(t, ok, "%q", other)
		}
	})

	t.Run("no other text is a token", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.OneOf(rapid.String(), rapid.StringMatching(`att_[a-z2-7]{8}_[a-z2-7]{32,44}`)).Draw(t, "text")
			secret, ok := auth.ParseToken(text)
			if ok && !tokenForm.MatchString(text) {
				t.Fatalf("%q is a token", text)
			}
			if !ok && secret != (auth.Secret{}) {
				t.Fatalf("%q is no token and has a secret", text)
			}
		})
	})

	t.Run("tokens with the same prefix differ", func(t *testing.T) {
		t.Parallel()
		_, one := auth.NewToken()
		_, other := auth.NewToken()
		other.Prefix = one.Prefix
		require.False(t, one.Is(other))
	})
}

// FuzzParseToken looks for texts that are parsed and are no tokens, and for panics.
func FuzzParseToken(f *testing.F) {
	text, _ := auth.NewToken()
	for _, seed := range []string{text, "", "att_", text[:len(text)-1], strings.ToUpper(text), strings.Replace(text, "_", "\x00", 1), "a.b.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secret, ok := auth.ParseToken(text)
		if !ok {
			require.Equal(t, auth.Secret{}, secret)
			return
		}
		require.Regexp(t, tokenForm, text)
		require.Equal(t, text[4:12], secret.Prefix)
		require.Equal(t, sha256.Sum256([]byte(text)), secret.Digest)
	})
}
