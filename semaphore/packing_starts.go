package semaphore

import (
	"encoding/base64"
	"fmt"
)

// packStarts packs the starts of gates, in the order of the gates: for each gate the number of its starts, and each start as the
// difference from the one before. A start takes 1 to 4 bytes: 4 if the starts of a rate are more than 17 minutes apart.
func packStarts(gates []gate) packed {
	if len(gates) == 0 {
		return packed{}
	}
	p, before := new(packer), int64(0)
	for _, g := range gates {
		p.add(int64(len(g.Starts)))
		for _, at := range g.Starts {
			p.add(at - before)
			before = at
		}
	}
	return packed{Count: len(gates), Packed: base64.RawStdEncoding.EncodeToString(p.buf)}
}

// unpackStarts fills the gates of the policy with their packed starts.
func (p packed) unpackStarts(gates []gate) error {
	if p.Count == 0 {
		return nil
	}
	if p.Count != len(gates) {
		return fmt.Errorf("%w: the starts of %d rates, and the policy has %d", errDamaged, p.Count, len(gates))
	}
	u, err := p.open()
	if err != nil {
		return err
	}
	before := int64(0)
	for i := range gates {
		n := u.next()
		if n < 0 || n > int64(len(u.buf)) {
			return fmt.Errorf("%w: %d starts in %d bytes", errDamaged, n, len(u.buf))
		}
		for range n {
			before += u.next()
			gates[i].Starts = append(gates[i].Starts, before)
		}
	}
	return u.end()
}
