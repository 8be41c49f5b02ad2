package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// document returns a JSON object of size bytes, made of fill. The size of fill must divide the rest.
func document(t *testing.T, size int, fill string) string {
	t.Helper()
	rest := size - len(`{"x":""}`)
	text := `{"x":"` + strings.Repeat(fill, rest/len(fill)) + strings.Repeat("x", rest%len(fill)) + `"}`
	require.Len(t, text, size)
	return text
}

// A payload and parameters of exactly 512 KiB are accepted on every way in, also where an encoding on the way makes them longer. One
// byte more is refused with their limit.
func TestDocumentsAtTheLimit(t *testing.T) {
	t.Parallel()
	person := strings.Repeat(`\u0061`, 200) // 200 bytes, each as an escape
	note := strings.Repeat(`\u0061`, 1000)
	ways := map[string]struct {
		send    func(document string) request
		subject string
	}{
		"an event": {func(document string) request {
			return post("/api/v1/events", `{"trigger": "github.push", "payload": `+document+`, "dedup_key": "`+strings.Repeat(`\u0061`, 255)+`"}`)
		}, "the payload has"},
		"a run": {func(document string) request {
			return post("/api/v1/actions/shop.deploy/run", `{"on_behalf_of": "`+person+`", "note": "`+note+`", "parameters": `+document+`}`)
		}, "the parameters have"},
		"a webhook": {func(document string) request { return delivery("gh", document) }, "the payload has"},
		"a webhook's form": {func(document string) request {
			form := url.Values{"payload": {document}}.Encode()
			return delivery("gh", form, "Content-Type: application/x-www-form-urlencoded")
		}, "the payload has"},
	}
	for way, tc := range ways {
		for fill, name := range map[string]string{
			"x": "letters", "<": "characters that HTML escapes", "é": "characters of two bytes", `\u00e9`: "escapes", " ": "spaces",
		} {
			t.Run(way+" of "+name, func(t *testing.T) {
				t.Parallel()
				b := setup(t).withRules(t, attune.Rule{}, "")
				exact := document(t, attune.MaxPayloadBytes, fill)
				recorder := b.do(t, tc.send(exact))
				require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
				require.Contains(t, string(b.recorder.only(t).Payload), exact)

				problem := requireProblem(t, b.do(t, tc.send(document(t, attune.MaxPayloadBytes+1, fill))), 413, "too_large")
				require.Equal(t, tc.subject+" more than 512 KiB: put large data elsewhere and send a reference to it", problem.Detail)
				require.Len(t, b.recorder.events, 1)
			})
		}
	}

	t.Run("a body without a limit is refused", func(t *testing.T) {
		t.Parallel()
		huge := strings.Repeat(" ", 3*attune.MaxPayloadBytes+64<<10+1)
		b := setup(t)
		for limit, in := range map[string]request{
			"576 KiB":  post("/api/v1/actions/shop.deploy/run", huge),
			"1600 KiB": delivery("gh", huge, "Content-Type: application/x-www-form-urlencoded"),
		} {
			problem := requireProblem(t, b.do(t, in), 413, "too_large")
			require.Contains(t, problem.Detail, "the body has more than "+limit)
		}
		problem := requireProblem(t, b.do(t, delivery("gh", huge)), 413, "too_large")
		require.Contains(t, problem.Detail, "the body has more than 576 KiB")
	})
}
