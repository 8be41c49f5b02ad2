package sources

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// SignatureHeader carries the signature of a delivery, as GitHub and Gitea send it, in the format [SignatureFormat].
const SignatureHeader = "X-Hub-Signature-256"

// SignatureFormat describes the value of [SignatureHeader] to people.
const SignatureFormat = "sha256=<hex of the HMAC-SHA256 of the body>"

// github is the profile of GitHub and Gitea.
func github() profile {
	return profile{header: SignatureHeader, format: SignatureFormat, verify: verifyGitHub}
}

func verifyGitHub(secret, value string, body []byte) bool {
	digits, prefixed := strings.CutPrefix(value, "sha256=")
	signature, err := hex.DecodeString(digits)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(signature, mac.Sum(nil)) && prefixed && err == nil
}
