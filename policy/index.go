package policy

import "github.com/attune-go/attune"

// Index finds the documents that cover an action or a queue. One index resolves any number of queues: its cost does not grow with the
// documents of other actions and queues. Create it with [NewIndex].
type Index struct {
	fields []Field
	levels map[covered][]Level
}

// covered is what the documents of one scope and reference are about.
type covered struct {
	scope Scope
	ref   string
}

// NewIndex returns the index of some documents. It ignores a document of an unknown scope.
func NewIndex(levels []Level) Index {
	x := Index{fields: Fields(), levels: make(map[covered][]Level, len(levels))}
	for _, level := range levels {
		of := covered{level.Scope, level.Ref}
		if level.Scope == ScopeGlobal {
			of.ref = ""
		}
		x.levels[of] = append(x.levels[of], level)
	}
	return x
}

// coverage is what documents are about. An empty field covers nothing.
type coverage struct {
	action attune.Ref
	queue  attune.QueueKey
	pack   string
	global bool
}

// covering returns the levels about c, those of one scope and reference in the order in which the index got them.
func (x Index) covering(c coverage) []Level {
	var found []Level
	for _, of := range []covered{{ScopeAction, string(c.action)}, {ScopeQueue, string(c.queue)}, {ScopePack, c.pack}} {
		if of.ref != "" {
			found = append(found, x.levels[of]...)
		}
	}
	if c.global {
		found = append(found, x.levels[covered{scope: ScopeGlobal}]...)
	}
	return found
}

// resolve decides every field by the levels about c.
func (x Index) resolve(c coverage) Effective { return resolve(x.fields, x.covering(c)) }
