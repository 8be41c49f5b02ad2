package semaphore

import (
	"encoding/base64"
	"fmt"
)

// packStarts packs the starts of rates, in the order of the policy: for each rate the number of its starts, and each start as the
// difference from the one before. A start takes 1 to 4 bytes: 4 if the starts of a rate are more than 17 minutes apart.
func packStarts(logs []startLog) packed {
	if len(logs) == 0 {
		return packed{}
	}
	p, before := new(packer), int64(0)
	for _, g := range logs {
		p.add(int64(len(g.Starts)))
		for _, at := range g.Starts {
			p.add(at - before)
			before = at
		}
	}
	return packed{Count: len(logs), Packed: base64.RawStdEncoding.EncodeToString(p.buf)}
}

// unpackStarts fills the logs of the policy's rates with their packed starts.
func (p packed) unpackStarts(logs []startLog) error {
	if p.Count == 0 {
		return nil
	}
	if p.Count != len(logs) {
		return fmt.Errorf("%w: the starts of %d rates, and the policy has %d", errDamaged, p.Count, len(logs))
	}
	u, err := p.open()
	if err != nil {
		return err
	}
	before := int64(0)
	for i := range logs {
		n := u.next()
		if n < 0 || n > int64(len(u.buf)) {
			return fmt.Errorf("%w: %d starts in %d bytes", errDamaged, n, len(u.buf))
		}
		for range n {
			before += u.next()
			logs[i].Starts = append(logs[i].Starts, before)
		}
	}
	return u.end()
}
