package attune_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestCheckText(t *testing.T) {
	t.Parallel()
	const limit = 40

	t.Run("text of one line passes in every language", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"", "why", "Überprüfung läuft", "再起動", "שלום", "مرحبا\u200f", "a\u00a0b", "👩‍🚀", strings.Repeat("x", limit)} {
			require.NoError(t, attune.CheckText("note", text, limit), "%q", text)
		}
	})

	t.Run("characters that hide or reverse text are refused", func(t *testing.T) {
		t.Parallel()
		refused := []rune{0x2028, 0x2029, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069, 0xFFFD}
		for r := range rune(0x20) {
			refused = append(refused, r)
		}
		for r := rune(0x7F); r <= 0x9F; r++ {
			refused = append(refused, r)
		}
		for _, r := range refused {
			err := attune.CheckText("note", "a"+string(r)+"b", limit)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), "%U", r)
			require.ErrorContains(t, err, "note: ")
			require.NotContains(t, err.Error(), string(r), "the message itself is one line of text")
		}
	})

	t.Run("invalid UTF-8 is refused", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80"} {
			err := attune.CheckText("key", text, limit)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			require.ErrorContains(t, err, "key: ")
			require.ErrorContains(t, err, "UTF-8")
		}
	})

	t.Run("a long text is refused and not quoted in full", func(t *testing.T) {
		t.Parallel()
		err := attune.CheckText("note", strings.Repeat("é", limit), limit)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		require.EqualError(t, err, "note: 80 bytes are too many: use 40 or less")
		err = attune.CheckText("note", "\x00"+strings.Repeat("x", 200_000), 1<<20)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		require.Less(t, len(err.Error()), 200)
	})
}

func TestAuthor_Validate(t *testing.T) {
	t.Parallel()
	good := attune.Author{
		Principal:  attune.Principal{Name: strings.Repeat("n", attune.MaxPrincipalName), Method: attune.AuthToken},
		OnBehalfOf: strings.Repeat("o", attune.MaxOnBehalfOf), Note: strings.Repeat("w", attune.MaxChangeNote),
	}
	require.NoError(t, good.Validate())
	for _, method := range attune.AuthMethods() {
		require.NoError(t, attune.Author{Principal: attune.Principal{Name: "n", Method: method}}.Validate())
	}
	for message, spoil := range map[string]func(*attune.Author){
		"the name is missing":               func(a *attune.Author) { a.Principal.Name = "" },
		"principal: 201 bytes":              func(a *attune.Author) { a.Principal.Name += "n" },
		"principal: \"\\x1b[31m\" contains": func(a *attune.Author) { a.Principal.Name = "\x1b[31m" },
		"unknown method":                    func(a *attune.Author) { a.Principal.Method = "guess" },
		"on_behalf_of: 201 bytes":           func(a *attune.Author) { a.OnBehalfOf += "o" },
		"on_behalf_of: \"a\\nb\" contains":  func(a *attune.Author) { a.OnBehalfOf = "a\nb" },
		"note: 1001 bytes":                  func(a *attune.Author) { a.Note += "w" },
		"note: \"\\x00\" contains":          func(a *attune.Author) { a.Note = "\x00" },
	} {
		spoiled := good
		spoil(&spoiled)
		err := spoiled.Validate()
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), message)
		require.ErrorContains(t, err, message)
	}
}

func TestAuthor_Who(t *testing.T) {
	t.Parallel()
	admin := attune.Author{Principal: attune.Principal{Name: "admin", Method: attune.AuthToken}, Note: "why"}
	require.Equal(t, "admin", admin.Who())
	admin.OnBehalfOf = "ada"
	require.Equal(t, "admin for ada", admin.Who())
	for _, method := range attune.AuthMethods() {
		principal := attune.Principal{Name: "bootstrap", Method: method}
		if method != attune.AuthToken {
			require.Equal(t, string(method)+":bootstrap", principal.Who(), "it does not look like the token with this name")
		}
	}
	require.Equal(t, "oidc:ci for ada", attune.Author{Principal: attune.Principal{Name: "ci", Method: attune.AuthOIDC}, OnBehalfOf: "ada"}.Who())
}

func TestWorkerNameOfMessages(t *testing.T) {
	t.Parallel()
	attempts, key := []attune.AttemptID{{Execution: 1, Attempt: 1}}, attune.WorkerKey{1}
	for name, refused := range map[string]bool{
		"shop-1-4711": false, strings.Repeat("w", attune.MaxWorkerName): false,
		"": true, "w\x00": true, "w\n": true, "\xff": true, strings.Repeat("w", attune.MaxWorkerName+1): true,
	} {
		for _, err := range []error{
			attune.ExecutionClaimMessage{Execution: 1, Attempt: 1, Worker: name, Serial: 1, ReplyKey: make([]byte, 32), Key: key}.Validate(),
			attune.ExecutionRenewMessage{Worker: name, Attempts: attempts, Serial: 1, Key: key}.Validate(),
		} {
			if !refused {
				require.NoError(t, err)
				continue
			}
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), "%q", name)
		}
	}
	require.Error(t, attune.ExecutionRenewMessage{Worker: "w", Attempts: []attune.AttemptID{{Execution: 1}}, Serial: 1, Key: key}.Validate())
	require.Error(t, attune.ExecutionClaimMessage{Attempt: 1, Worker: "w", Serial: 1, ReplyKey: make([]byte, 32), Key: key}.Validate())
}
