// Package fxmodules wires attune's parts together: one module per part, one list of modules per role. Besides cmd, it is
// the only package that knows fx; every constructor that it uses works without fx.
//
// The package contains no logic: constructors pass parts to each other, and hooks start and stop the parts. A background
// part is a loop of package supervisor. It starts when its dependencies are built, and stops in reverse order. When a
// loop ends by itself, it stops the whole process.
package fxmodules
