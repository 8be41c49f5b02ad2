package sources_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/sources"
)

func signatureOf(body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// FuzzWebhooks_Arrival delivers anything: a delivery is accepted only with the signature of its body, and then the payload is a part
// of the body or the field of a form.
func FuzzWebhooks_Arrival(f *testing.F) {
	f.Add(signature, body, "application/json")
	f.Add(strings.ToUpper(signature), body, "")
	f.Add(signature[:40], body, "")
	f.Add("sha256=", "", "application/json")
	f.Add("", "{}", "text/plain")
	f.Add(signatureOf("payload=%7B%7D"), "payload=%7B%7D", sources.FormMediaType)
	f.Add(signatureOf("payload=%zz"), "payload=%zz", sources.FormMediaType)
	f.Fuzz(func(t *testing.T, header, content, mediaType string) {
		webhooks, trigger, delivery := setup()
		delivery.Body = []byte(content)
		delivery.Header.Set(sources.SignatureHeader, header)
		delivery.Header.Set("Content-Type", mediaType)
		right := signatureOf(content)
		arrival, err := arrivalOf(webhooks, trigger, delivery)
		digits, prefixed := strings.CutPrefix(header, "sha256=")
		if !prefixed || !strings.EqualFold(digits, right[len("sha256="):]) {
			require.ErrorContains(t, err, "the signature is missing or wrong")
		}
		if err == nil && mediaType != "" && strings.HasSuffix(mediaType, "json") {
			require.Equal(t, content, string(arrival.Payload))
		}

		delivery.Header.Set(sources.SignatureHeader, right)
		if _, err := arrivalOf(webhooks, trigger, delivery); err != nil {
			require.NotContains(t, err.Error(), "signature")
		}
	})
}
