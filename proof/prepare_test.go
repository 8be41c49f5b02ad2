package proof_test

import (
	"time"

	"github.com/attune-go/attune"
)

// quiet opens the queue at a limit of 4, and ends everything that waits or runs.
func (h *history) quiet() {
	h.setMode(attune.QueueOpen)
	h.setLimit(&attune.LimitOverride{Limit: 4})
	h.use(attune.QueuePolicy{Limit: 4, MaxQueued: 8, Overflow: attune.OverflowReject})
	for h.state.Active() > 0 || len(h.releases) > 0 || len(h.arrivals) > 0 || len(h.state.UnrecordedSettlements(1)) > 0 {
		h.arriveAll(nil)
		h.backfill(nil)
		h.database = h.database.Add(2 * time.Second)
		h.state.Advance(h.queueClock())
		h.recordSome(1000)
		for _, grant := range h.state.Deliverable(10) {
			h.act(grant)
		}
		for i := range h.Enforcements {
			if e := &h.Enforcements[i]; e.Status == attune.EnforcementGranted && h.grantOf(e).Outcome == attune.ExecutionRunning {
				h.finishAs(e, "")
			}
		}
		h.releaseAll()
		h.inspect()
	}
	h.log(nil)
}

// inspect tells the queue what became of the holders that are due for inspection: a holder that the queue knows only from its row can have
// ended before.
func (h *history) inspect() {
	var gone, waiting []attune.Ticket
	for _, suspect := range h.state.Suspects(h.queueClock()) {
		switch e := h.byID(suspect.Enforcement); {
		case e.Sequence != suspect.Sequence:
			gone = append(gone, suspect.Ticket)
		case e.Status == attune.EnforcementQueued:
			waiting = append(waiting, suspect.Ticket)
		case e.Status != attune.EnforcementGranted:
			gone = append(gone, suspect.Ticket)
		}
	}
	h.state.Inspected(h.queueClock(), gone, waiting)
}

// run accepts one enforcement and acts upon its grant.
func (h *history) run() *attune.Enforcement { return h.runIn(0) }

// runIn is run for a lane.
func (h *history) runIn(lane int32) *attune.Enforcement {
	e := h.enforce(lane, 1)
	h.queue(e, 1)
	h.arriveAll(nil)
	h.recordSome(1000) // nothing is granted before
	for _, grant := range h.state.Deliverable(10) {
		h.act(grant)
	}
	return e
}

// pauseAndGoOn pauses the queue for a while, with grants before and after.
func (h *history) pauseAndGoOn() {
	h.quiet()
	h.run()
	h.tick()
	h.setMode(attune.QueuePaused)
	h.tick()
	h.setMode(attune.QueueOpen)
	h.run()
	h.log(nil)
}

// limitByHand decides grants at a manual limit, before and after a change of the limit.
func (h *history) limitByHand() {
	h.quiet()
	h.run()
	h.tick()
	h.setLimit(&attune.LimitOverride{Limit: 3})
	h.run()
	h.log(nil)
}

// oneAfterTheOther decides two grants at a limit of 1.
func (h *history) oneAfterTheOther() {
	h.quiet()
	h.setLimit(&attune.LimitOverride{Limit: 1})
	h.finishAs(h.run(), "")
	h.releaseAll()
	h.run()
	h.log(nil)
}

// goBack grants an enforcement twice, the second time in a place at the back.
func (h *history) goBack() {
	h.quiet()
	h.finishAs(h.run(), attune.RetryBack)
	h.run()
}

// skip lets lanes pass each other, with room for four holders and limits for action 1.
func (h *history) skip(limits attune.ActionPolicy) {
	h.quiet()
	h.setLimit(nil)
	limits.Action = 1
	h.use(attune.QueuePolicy{
		Limit: 4, Across: attune.AcrossSkip, MaxQueued: 8, Overflow: attune.OverflowReject, Actions: []attune.ActionPolicy{limits},
	})
}

// passBlockedLane grants two tickets of lane 7, and one of lane 8 in between, while lane 7 is full.
func (h *history) passBlockedLane() {
	h.skip(attune.ActionPolicy{LimitPerKey: new(1)})
	first := h.runIn(7).ID
	h.runIn(7)
	h.runIn(8)
	h.finishAs(h.byID(first), "")
	h.releaseAll()
	for _, grant := range h.state.Deliverable(10) {
		h.act(grant)
	}
	h.recordSome(100) // changes behind an unrecorded cancel, too: lanes are judged only with them
}

// fillLevels grants two tickets of the same lane and action.
func (h *history) fillLevels() {
	h.skip(attune.ActionPolicy{})
	h.runIn(7)
	h.runIn(7)
	h.recordSome(100) // changes behind an unrecorded cancel, too: lanes are judged only with them
}

// skipOneAfterTheOther is oneAfterTheOther while lanes may pass each other.
func (h *history) skipOneAfterTheOther() {
	h.skip(attune.ActionPolicy{})
	h.setLimit(&attune.LimitOverride{Limit: 1})
	h.finishAs(h.run(), "")
	h.releaseAll()
	h.run()
	h.log(nil)
}
