// Package demo sends a small load to a running attune over HTTP and shows the progress. Afterwards, package proof decides from
// the stored rows whether every queue kept its promises; package demo adds the measured times.
package demo
