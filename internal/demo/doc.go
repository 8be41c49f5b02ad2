// Package demo sends a small real load through a running attune over HTTP, follows it, and checks afterwards, from the
// stored rows and nothing else, that the promises were kept.
package demo
