package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// registerQueries registers the queries of the queue.
func (q *actionQueue) registerQueries(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryQueue, q.view,
		workflow.QueryHandlerOptions{Description: "Limit, holders, the first waiting tickets and counters."})
	if err != nil {
		return fmt.Errorf("register query %q: %w", QueryQueue, err)
	}
	err = workflow.SetQueryHandlerWithOptions(ctx, QueryPosition, q.position,
		workflow.QueryHandlerOptions{Description: "Position of an enforcement in the line: 1 is next, 0 means that it does not wait."})
	if err != nil {
		return fmt.Errorf("register query %q: %w", QueryPosition, err)
	}
	err = workflow.SetQueryHandlerWithOptions(ctx, QueryWhy, q.why,
		workflow.QueryHandlerOptions{Description: "What keeps an enforcement from its grant."})
	if err != nil {
		return fmt.Errorf("register query %q: %w", QueryWhy, err)
	}
	return nil
}

// QueueMemo is the memo [MemoQueue] of a queue's workflow. It has only fields that rarely change, and is shown in lists of
// workflows. The Current Details have the rest.
//
// Stored in Temporal's history: the memo of a workflow.
type QueueMemo struct {
	Mode  attune.QueueMode `json:"mode"`
	Limit int              `json:"limit"` // in force
	// Problem says what the queue cannot do, and why. It is empty without a problem.
	Problem string `json:"problem,omitempty"`
}

// updateMemo writes the memo if it has changed. The next run inherits the memo.
func (q *actionQueue) updateMemo(ctx workflow.Context) {
	memo := QueueMemo{Mode: q.state.Mode(), Limit: q.state.Limit(), Problem: q.problem()}
	if memo == q.memo {
		return
	}
	q.memo = memo
	if err := workflow.UpsertMemo(ctx, map[string]any{MemoQueue: memo}); err != nil {
		workflow.GetLogger(ctx).Warn("cannot write the memo of a queue", "error", err)
	}
}

// memoOf returns the memo of the previous run.
func memoOf(info *workflow.Info) (memo QueueMemo) {
	if payload := info.Memo.GetFields()[MemoQueue]; payload != nil {
		_ = decode(payload, &memo) // an unreadable memo is written again
	}
	return memo
}

var errLoading = errors.New("the queue is being rebuilt from its rows: try again")

func (q *actionQueue) view() (QueueView, error) {
	if q.state == nil {
		return QueueView{}, errLoading
	}
	view := QueueView{
		QueueStatus: q.status(),
		Policy:      q.state.Policy(),
		Holders:     q.state.Holders(),
		Front:       q.state.Front(viewLength),
		Counters:    q.state.Counters(),
		Problem:     q.problem(),
	}
	if len(view.Front) > 0 {
		view.Oldest = &view.Front[0].EnqueuedAt
	}
	if gap, ok := q.state.Missing(); ok {
		view.Missing = &gap
	}
	return view, nil
}

func (q *actionQueue) status() attune.QueueStatus {
	status := attune.QueueStatus{
		Queue: q.key, Mode: q.state.Mode(), Limit: q.state.Limit(), Active: q.state.Active(), Waiting: q.state.Waiting(),
		Changes: q.state.Changes(),
	}
	if override, ok := q.state.Override(); ok {
		status.Override = &override
	}
	return status
}

// problem describes the first task that keeps failing; empty without one.
func (q *actionQueue) problem() string {
	for _, t := range q.tasks {
		if trouble := t.trouble(); trouble != "" {
			return trouble
		}
	}
	return ""
}

func (q *actionQueue) position(id attune.EnforcementID) (int, error) {
	if q.state == nil {
		return 0, errLoading
	}
	return q.state.Position(id), nil
}

func (q *actionQueue) why(id attune.EnforcementID) (WhyView, error) {
	if q.state == nil {
		return WhyView{}, errLoading
	}
	position, ticket := q.state.Find(id)
	if position == 0 {
		return WhyView{}, nil
	}
	return WhyView{Position: position, Ticket: &ticket, Obstacles: q.state.Obstacles(ticket)}, nil
}

// details returns the queue as Markdown for the "Current Details" of Temporal's UI. They are not stored in the history.
func (q *actionQueue) details(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** limit **%d**, active **%d**, waiting **%d**",
		q.key, q.state.Limit(), q.state.Active(), q.state.Waiting())
	if mode := q.state.Mode(); mode != attune.QueueOpen {
		fmt.Fprintf(&b, ", **%s**", mode)
	}
	if override, ok := q.state.Override(); ok {
		fmt.Fprintf(&b, ", manual limit instead of %d", q.state.Policy().Limit)
		if !override.Until.IsZero() {
			fmt.Fprintf(&b, " until %s", clock(override.Until))
		}
	}
	b.WriteString("\n\n")
	if problem := q.problem(); problem != "" {
		fmt.Fprintf(&b, "**Problem**: %s\n\n", problem)
	}
	if gap, ok := q.state.Missing(); ok {
		fmt.Fprintf(&b, "Sequences %d to %d have not arrived. The queue reads them from the database and grants nothing behind them.\n\n",
			gap.From, gap.To)
	}
	q.actionDetails(&b)
	q.laneDetails(&b)
	if holders := q.state.Holders(); len(holders) > 0 {
		row(&b, "holder", "sequence", "grant", "since", "attempt")
		rule(&b, 5)
		for _, holder := range holders[:min(viewLength, len(holders))] {
			id := EnforcementWorkflowID(holder.Enforcement)
			row(&b, id, holder.Sequence, holder.Number, clock(holder.GrantedAt), attempt(holder.Grant))
		}
		more(&b, len(holders))
	}
	if waiting := q.state.Front(viewLength); len(waiting) > 0 {
		row(&b, "position", "waiting", "sequence", "lane", "since", "held by")
		rule(&b, 6)
		for i, ticket := range waiting {
			held := obstacles(q.state.Obstacles(ticket))
			row(&b, i+1, EnforcementWorkflowID(ticket.Enforcement), ticket.Sequence, ticket.Lane, clock(ticket.EnqueuedAt), held)
		}
		more(&b, q.state.Waiting())
	}
	c := q.state.Counters()
	fmt.Fprintf(&b, "accepted %d = waiting %d + active %d + completed %d", c.Accepted, q.state.Waiting(), q.state.Active(), c.Completed)
	fmt.Fprintf(&b, " + rejected %d + cancelled %d + expired %d + withdrawn %d", c.Rejected, c.Cancelled, c.Expired, c.Withdrawn)
	fmt.Fprintf(&b, ", as of %s\n", clock(now))
	return b.String()
}

// actionDetails writes the breakdown of a shared queue by its actions.
func (q *actionQueue) actionDetails(b *strings.Builder) {
	counts := q.state.Actions()
	if !slices.ContainsFunc(counts, func(c semaphore.ActionCount) bool { return c.Ref != "" }) {
		return
	}
	row(b, "action", "active", "waiting", "limit")
	rule(b, 4)
	for _, c := range counts[:min(viewLength, len(counts))] {
		limit := "of the queue"
		if c.Limit != nil {
			limit = strconv.Itoa(*c.Limit)
		}
		row(b, cmp.Or(string(c.Ref), fmt.Sprintf("action %d", c.Action)), c.Active, c.Waiting, limit)
	}
	more(b, len(counts))
}

// laneDetails writes the manual limits of lanes.
func (q *actionQueue) laneDetails(b *strings.Builder) {
	limits := q.state.LaneLimits()
	if len(limits) == 0 {
		return
	}
	row(b, "lane", "manual limit")
	rule(b, 2)
	for _, limit := range limits[:min(viewLength, len(limits))] {
		until := ""
		if !limit.Until.IsZero() {
			until = " until " + clock(limit.Until)
		}
		row(b, limit.Lane, strconv.Itoa(limit.Limit)+until)
	}
	more(b, len(limits))
}

// obstacles returns in words what keeps a ticket from its grant.
func obstacles(all []semaphore.Obstacle) string {
	words := make([]string, len(all))
	for i, o := range all {
		switch o.Kind {
		case semaphore.ObstacleLimit:
			words[i] = fmt.Sprintf("%s limit %d", o.Level, o.Limit)
		case semaphore.ObstacleRate:
			words[i] = fmt.Sprintf("%s rate until %s", o.Level, clock(o.OpensAt))
		case semaphore.ObstacleAhead:
			words[i] = fmt.Sprintf("sequence %d", o.Ahead)
		default:
			words[i] = string(o.Kind)
		}
	}
	return strings.Join(words, ", ")
}

// attempt returns the number of a holder's attempt, and the time of its start if that is delayed.
func attempt(grant attune.Grant) string {
	number := strconv.Itoa(max(grant.Attempt, 1))
	if grant.NotBefore.IsZero() {
		return number
	}
	return number + " at " + clock(grant.NotBefore)
}

// row writes one row of a table. Temporal's UI puts no space between columns, so each cell ends with a space.
func row(b *strings.Builder, cells ...any) {
	for _, cell := range cells {
		fmt.Fprintf(b, "| %v\u2003", cell)
	}
	b.WriteString("|\n")
}

func rule(b *strings.Builder, columns int) { b.WriteString(strings.Repeat("|---", columns) + "|\n") }

func more(b *strings.Builder, total int) {
	if total > viewLength {
		fmt.Fprintf(b, "\n… and %d more\n", total-viewLength)
	}
	b.WriteString("\n")
}

// clock formats a time in UTC to the second. An age would be outdated when a person reads it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02\u00a015:04:05Z") }
