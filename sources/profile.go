package sources

// profile is how one family of senders signs deliveries.
type profile struct {
	header string // carries the signature
	format string // of the header's value, for messages
	// verify reports whether a header value is the signature of body under secret. Its duration does not depend on how much of
	// the signature is right.
	verify func(secret, value string, body []byte) bool
}
