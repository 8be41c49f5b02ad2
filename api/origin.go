package api

import "net/http"

// sameOrigin refuses requests that a browser sends on behalf of another site. The token check does not catch them when the
// browser itself adds the token.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern(webhookPattern) // signed, and sent by servers
	protection.SetDenyHandler(forbidden("the request was sent by a browser on behalf of another site"))
	return protection.Handler(next)
}
