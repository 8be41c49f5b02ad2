// Package oidc verifies JSON web tokens of one OpenID Connect issuer.
//
// # Authority
//
// The issuer is the authority for its keys, which this package reads over its discovery document, and for the claims of a token. The
// settings say which claims become which role: see [auth.ClaimRules].
//
// # Guarantees
//
//   - A token is accepted only with a signature by a current key of the issuer, with an asymmetric algorithm that the issuer announces,
//     with the issuer's name, the configured audience and an expiry in the future. A token is verified anew for every request.
//   - The issuer is first asked when the first token arrives. While it does not answer, or answers without keys, tokens get
//     [attune.CodeUnavailable]; they are not called wrong.
//   - A key that the issuer has withdrawn ends: known keys are read again after four to five minutes. While the issuer does not answer with
//     keys, the known ones serve until they are an hour old.
//   - A claim has exactly its name, and a token with two claims of one name is refused.
//   - Tokens cannot make this package flood the issuer. It reads the keys again when no known key fits a token, with one request a
//     second, and three at once after a pause; tokens that need the keys wait for each other. A new key of the issuer therefore works
//     within seconds.
package oidc
