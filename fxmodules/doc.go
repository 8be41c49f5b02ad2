// Package fxmodules puts attune's parts together: one module per part, one list of modules per role. It is the only package
// besides cmd that knows fx; every constructor it uses works without.
//
// Nothing here behaves: constructors hand parts to each other, and hooks start and stop them. A part that runs for as long as
// the process does is a loop of package supervisor: it starts when everything it needs has been built, stops in the opposite
// order, and takes the whole process down when it ends by itself.
package fxmodules
