// Package sources turns what arrives from outside into arrivals for package ingest. Each kind of source has a file of its own;
// a source checks what only it can know, and leaves everything else to ingest.
//
// # Webhooks
//
// A webhook delivery is an HTTP request that the sender has signed with the secret of a trigger. [Webhooks] verifies the
// signature over the bytes of the body, before it reads them. A [profile] says how one family of senders signs.
package sources
