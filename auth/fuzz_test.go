package auth_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/auth"
)

// FuzzParseToken parses anything: what is accepted has the form of a token, and is kept as its prefix and its digest.
func FuzzParseToken(f *testing.F) {
	form := regexp.MustCompile(`^att_([a-z2-7]{8})_[a-z2-7]{38}$`)
	token, _ := auth.NewToken()
	f.Add(token)
	f.Add(strings.ToUpper(token))
	f.Add(token + " ")
	f.Add(token[:len(token)-1])
	f.Add("att_" + strings.Repeat("a", 8) + "_" + strings.Repeat("a", 38))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		secret, ok := auth.ParseToken(text)
		if !ok {
			return
		}
		parts := form.FindStringSubmatch(text)
		require.NotNil(t, parts, "%q", text)
		require.Equal(t, parts[1], secret.Prefix)
		require.Equal(t, sha256.Sum256([]byte(text)), secret.Digest)
		for _, last := range "ab" {
			changed := text[:len(text)-1] + string(last)
			_, ok := auth.ParseToken(changed)
			require.Equal(t, changed == text, ok, "a token with another end is refused: %q", changed)
		}
	})
}
