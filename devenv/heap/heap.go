// Package heap measures the heap of a test process.
package heap

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// Peak runs a function and returns how far the heap grows above its size before, in bytes. It samples the heap of the whole process
// once per millisecond, so nothing else may run at the same time.
func Peak(run func()) uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 {
		metrics.Read(samples)
		return samples[0].Value.Uint64()
	}
	runtime.GC()
	before := heap()
	peak, end := before, make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ; {
			peak = max(peak, heap())
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	})
	run()
	close(end)
	sampling.Wait()
	return peak - before
}
