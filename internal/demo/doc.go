// Package demo sends a small real load through a running attune over HTTP, follows it, and has package proof judge afterwards,
// from the stored rows and nothing else, whether the promises were kept. Only the times are its own.
package demo
