package packs

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// joinUse is a place where a policy names a shared queue.
type joinUse struct {
	owner
	source *source
	node   *node
	queue  attune.QueueKey
}

// queue reads the declaration of a shared queue.
func (d *draft) queue(s *source, ref attune.Ref, n *node) {
	f := s.fieldsOf(fmt.Sprintf("queue %q", ref.Name()), n)
	q := attune.SharedQueue{Ref: ref, Description: f.text("description")}
	q.Policy = d.policy(f, owner{scope: policy.ScopeQueue, ref: ref})
	f.done()
	d.pack.Queues = append(d.pack.Queues, q)
}

// join reads the name of a shared queue in a policy: "pack.name", or "name" within the same pack.
func (d *draft) join(f *fields, of owner, document *attune.Policy) {
	n := f.typed("queue", kindText)
	if n == nil {
		return
	}
	ref := attune.Ref(n.text)
	if !strings.Contains(n.text, ".") {
		ref = attune.NewRef(d.name, n.text)
	}
	if err := ref.Validate(); err != nil {
		f.fault(n.place, "queue: %s", err)
		return
	}
	document.Queue = new(attune.QueueKey(ref))
	if err := policy.CheckScope(of.scope, *document); err != nil {
		f.fault(n.place, "%s", err)
		return
	}
	d.joins = append(d.joins, joinUse{owner: of, source: f.source, node: n, queue: *document.Queue})
}

// checkQueues checks the names of the shared queues of a pack, and what joins them.
func (l library) checkQueues(d *draft) {
	for ref, at := range d.declared[queues] {
		if _, taken := d.declared[actions][ref]; taken {
			d.report.add(d.files[queues][ref], at, "queue %q: the pack has an action of this name, which owns a queue of this name: "+
				"use another name", ref.Name())
		}
	}
	for _, j := range d.joins {
		l.checkJoin(d, j)
	}
	for _, p := range d.policies {
		l.checkJoined(d, p)
	}
}

// checkJoin expects the target of a join. A queue of a pack that is not loaded can be installed already: see [attune.Join].
func (l library) checkJoin(d *draft, j joinUse) {
	ref := attune.Ref(j.queue)
	if j.scope == policy.ScopeAction && ref == j.ref {
		return // the action leaves the queue of its pack
	}
	if l.draft(ref.Pack()) != nil {
		if !l.checkReference(j.source, j.node, ref, queues) {
			return
		}
	}
	at := Problem{File: filepath.ToSlash(j.source.path), Line: j.node.line, Column: j.node.column}
	d.pack.Joins = append(d.pack.Joins, attune.Join{Queue: j.queue, Place: at.place()})
}

// draft returns the draft of a pack, or nil.
func (l library) draft(name string) *draft {
	for _, d := range l.drafts {
		if d.pack.Name == name {
			return d
		}
	}
	return nil
}

// queueOf returns the queue that an action of a pack uses by the policies of packs.
func (l library) queueOf(d *draft, action attune.Ref) attune.QueueKey {
	var levels []policy.Level
	for _, p := range d.policies {
		levels = append(levels, policy.Level{Scope: p.scope, Ref: string(p.ref), Origin: policy.OriginPack, Policy: *p.document})
	}
	return policy.QueueOf(action, levels)
}

// checkJoined expects the policy of an action in a shared queue to leave the fields of the queue alone. It expects the limit of a
// pack to have an effect: it is a default for the queues that the actions own.
func (l library) checkJoined(d *draft, p policyUse) {
	switch p.scope {
	case policy.ScopeAction:
		queue := l.queueOf(d, p.ref)
		if queue == policy.DefaultQueue(p.ref) {
			return
		}
		for _, field := range policy.Fields() {
			if field.OfQueue && field.IsSet(*p.document) {
				p.fields.fault(p.fields.get(field.Name).place, "%s: %s", field.Name, policy.Misplaced(queue))
			}
		}
	case policy.ScopePack:
		if p.document.Limit == nil || p.document.Queue == nil || len(d.declared[actions]) == 0 {
			return
		}
		for ref := range d.declared[actions] {
			if l.queueOf(d, ref) == policy.DefaultQueue(ref) {
				return
			}
		}
		p.fields.fault(p.fields.get("limit").place, "limit: the limit of a pack is a default for the queue that each action owns, and "+
			"every action of the pack shares a queue: set the limit in the policy of the queue %s", *p.document.Queue)
	default:
	}
}
