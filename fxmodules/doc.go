// Package fxmodules puts attune's parts together: one module per part, one list of modules per role. It is the only package
// besides cmd that knows fx; every constructor it uses works without.
//
// What runs for as long as the process does is a loop: it is started when everything it needs has been built, told to stop
// in the opposite order, and takes the whole process down if it ends by itself.
package fxmodules
