package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// judgement is what the rates and quotas say of the newcomers of one admission.
type judgement struct {
	now      time.Time    // PostgreSQL's clock after the limiters were locked
	gates    policy.Gates // in force, of the scopes of the charges
	limiters counters[limiterID, *limiter]
	usages   counters[usageID, *usage]
	refused  []*refusal
}

// refusal is a newcomer that a gate refuses.
type refusal struct {
	newcomer *newcomer
	gate     policy.Gate
	charge   attune.Charge
	count    int64     // units that the gate had counted
	retryAt  time.Time // zero means never
	waitFor  unitOf    // the unit of a rate that has to leave the window; zero if it is known
}

// chargeSet is what newcomers cost that have the same charges.
type chargeSet struct {
	charges []attune.Charge // as stored
	judged  []attune.Charge // those of gates in force
	tallies []policy.TallyCharge
}

// readCharges decodes the charges of newcomers, equal texts once.
func readCharges(newcomers []newcomer) ([]*chargeSet, error) {
	byText := make(map[string]*chargeSet)
	var sets []*chargeSet
	for i, n := range newcomers {
		if n.chargesText == nil {
			continue
		}
		set := byText[*n.chargesText]
		if set == nil {
			set = new(chargeSet)
			if err := json.Unmarshal([]byte(*n.chargesText), &set.charges); err != nil {
				return nil, fmt.Errorf("decode the charges of enforcement %d: %w", n.id, err)
			}
			byText[*n.chargesText] = set
			sets = append(sets, set)
		}
		newcomers[i].charges = set
	}
	return sets, nil
}

// judge charges the newcomers, in their order, to the gates that they name and that are in force. All gates of a newcomer allow its
// cost, or none is charged. It returns the newcomers that all their gates allow. Their queues are locked. judge locks the limiters in the
// order of ids, and then the counts of the quotas likewise; [judgement.addTo] stores the charges.
//
// The number of statements does not depend on the number of newcomers. Without a charge, judge runs none.
func judge(ctx context.Context, tx pgx.Tx, newcomers []newcomer) (*judgement, []newcomer, error) {
	j := &judgement{}
	sets, err := readCharges(newcomers)
	if err != nil || len(sets) == 0 {
		return j, newcomers, err
	}
	charges := distinctCharges(sets)
	if err := j.lockLimiters(ctx, tx, charges); err != nil {
		return nil, nil, err
	}
	if err := j.lockUsages(ctx, tx, charges); err != nil {
		return nil, nil, err
	}
	for _, set := range sets {
		j.prepare(set)
	}
	var admitted []newcomer
	for i := range newcomers {
		if j.admit(&newcomers[i]) {
			admitted = append(admitted, newcomers[i])
		}
	}
	err = j.findRetries(ctx, tx)
	return j, admitted, err
}

// distinctCharges returns each gate and key once, in one order.
func distinctCharges(sets []*chargeSet) []attune.Charge {
	seen := make(map[attune.Charge]bool)
	var charges []attune.Charge
	for _, set := range sets {
		for _, c := range set.charges {
			c.Cost = 0
			if !seen[c] {
				seen[c] = true
				charges = append(charges, c)
			}
		}
	}
	slices.SortFunc(charges, func(a, b attune.Charge) int {
		return cmp.Or(policy.CompareGates(a.GateID, b.GateID), cmp.Compare(a.Key, b.Key))
	})
	return charges
}

// prepare finds the locked rows of a set. A gate that is no longer in force judges nothing.
func (j *judgement) prepare(set *chargeSet) {
	for _, c := range set.charges {
		var tally *policy.Tally
		if u := j.usages.byID[usageOf(c)]; c.Kind == attune.GateQuota && u != nil {
			tally = &u.Tally
		}
		if l := j.limiters.byID[limiterOf(c)]; c.Kind == attune.GateRate && l != nil && l.gate.Rate != nil {
			tally = &l.Tally
		}
		if tally != nil {
			set.judged = append(set.judged, c)
			set.tallies = append(set.tallies, policy.TallyCharge{Tally: tally, Cost: c.Cost})
		}
	}
}

// admit charges a newcomer, and notes what it is charged or its refusal.
func (j *judgement) admit(n *newcomer) bool {
	if n.charges == nil {
		return true
	}
	if i := policy.ChargeAll(n.charges.tallies); i >= 0 {
		j.refuse(n, n.charges.judged[i], *n.charges.tallies[i].Tally)
		return false
	}
	for i, c := range n.charges.judged {
		if c.Cost > 0 {
			j.note(n, c, *n.charges.tallies[i].Tally)
		}
	}
	return true
}

// note records what a newcomer is charged at a gate. tally is that of the gate after the charge. The gates of a newcomer differ.
func (j *judgement) note(n *newcomer, c attune.Charge, tally policy.Tally) {
	if c.Kind == attune.GateQuota {
		n.charged = append(n.charged, attune.QuotaCharge{
			Usage: j.usages.byID[usageOf(c)].id, Cost: c.Cost, Used: tally.Used + tally.Charged, Limit: tally.Limit,
		})
		return
	}
	l := j.limiters.byID[limiterOf(c)]
	n.units = append(n.units, attune.RateCharge{Limiter: l.id, Last: l.last + tally.Charged, Units: c.Cost})
}

// refuse notes the refusal of a newcomer.
func (j *judgement) refuse(n *newcomer, c attune.Charge, tally policy.Tally) {
	r := &refusal{newcomer: n, charge: c, count: tally.Used + tally.Charged}
	j.refused = append(j.refused, r)
	if c.Kind == attune.GateQuota {
		u := j.usages.byID[usageOf(c)]
		r.gate = u.gate
		if c.Cost <= tally.Limit {
			r.retryAt = u.period.End
		}
		return
	}
	l := j.limiters.byID[limiterOf(c)]
	r.gate = l.gate
	switch unit, ever := policy.UnitToExpire(l.last+tally.Charged, c.Cost, tally.Limit); {
	case !ever:
	case unit > l.last:
		r.retryAt = l.at.Add(l.window())
	default:
		r.waitFor = unitOf{l.id, unit}
	}
}

// addTo stores the charges and the refusals.
func (j *judgement) addTo(batch *pgx.Batch) error {
	j.addLimiters(batch)
	j.addUsages(batch)
	return j.addRefusals(batch)
}

const refuseSQL = `
UPDATE enforcements e SET status = 'rejected', reason = u.reason, detail = u.detail, refusal = u.refusal::json, charges = NULL,
	encrypted = NULL, finished_at = GREATEST(clock_timestamp(), e.created_at)
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS u (id, reason, detail, refusal) WHERE e.id = u.id`

func (j *judgement) addRefusals(batch *pgx.Batch) error {
	if len(j.refused) == 0 {
		return nil
	}
	n := len(j.refused)
	ids, reasons := make([]attune.EnforcementID, n), make([]attune.Reason, n)
	details, documents := make([]string, n), make([]string, n)
	for i, r := range j.refused {
		shown := r.show()
		var err error
		if details[i], documents[i], err = refusalValues(r.newcomer.id, shown); err != nil {
			return err
		}
		ids[i], reasons[i] = r.newcomer.id, shown.Reason()
	}
	batch.Queue(refuseSQL, ids, reasons, details, documents)
	return nil
}

// refusalValues returns the refusal of an enforcement in words and as JSON, for its row.
func refusalValues(id attune.EnforcementID, refusal attune.GateRefusal) (detail, document string, err error) {
	encoded, err := json.Marshal(refusal)
	if err != nil {
		return "", "", fmt.Errorf("encode the refusal of enforcement %d: %w", id, err)
	}
	return refusal.String(), string(encoded), nil
}

// show returns the refusal as people see it.
func (r *refusal) show() attune.GateRefusal {
	shown := attune.GateRefusal{
		GateID: r.charge.GateID, Key: keyText(r.charge.Key), Count: r.count, Cost: r.charge.Cost, RetryAt: orNullTime(r.retryAt),
	}
	if q := r.gate.Quota; q != nil {
		shown.Limit, shown.Period, shown.Timezone = q.Limit, q.Period, q.Timezone
	} else {
		shown.Limit, shown.Window = r.gate.Rate.Limit, &r.gate.Rate.Window
	}
	return shown
}

// keyText returns the text of a key, or nil for a gate without a key.
func keyText(key attune.LaneName) *string {
	if key == "" {
		return nil
	}
	return new(key.Text())
}

// gateDocumentsSQL reads the documents with rates or quotas of scopes.
const gateDocumentsSQL = `
SELECT p.scope, p.ref, p.origin, p.revision, p.document
FROM policies p JOIN unnest($1::text[], $2::text[]) AS u (scope, ref) ON u.scope = p.scope AND u.ref = p.ref
WHERE (p.document -> 'rate' IS NOT NULL OR p.document -> 'quota' IS NOT NULL) AND ` + documentInForce

// addGateDocuments reads the gates in force of the scopes of charges.
func (j *judgement) addGateDocuments(batch *pgx.Batch, charges []attune.Charge) {
	type scope struct{ scope, ref string }
	seen := make(map[scope]bool)
	var scopes, refs []string
	for _, c := range charges {
		if s := (scope{c.Scope, c.Ref}); !seen[s] {
			seen[s] = true
			scopes, refs = append(scopes, c.Scope), append(refs, c.Ref)
		}
	}
	batch.Queue(gateDocumentsSQL, scopes, refs).Query(func(rows pgx.Rows) error {
		documents, err := pgx.CollectRows(rows, scanLevel)
		j.gates = policy.GatesOf(documents...)
		return err
	})
}

// counters are the locked rows that charges count on, in the order in which they were locked.
type counters[ID comparable, C any] struct {
	byID map[ID]C
	all  []C
}

func (c *counters[ID, C]) add(id ID, counter C) {
	if c.byID == nil {
		c.byID = make(map[ID]C)
	}
	c.byID[id] = counter
	c.all = append(c.all, counter)
}
