package forecast_test

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/attune-go/attune/forecast"
)

func TestExplore(t *testing.T) {
	base, _ := strconv.Atoi(os.Getenv("BASE"))
	n, _ := strconv.Atoi(os.Getenv("N"))
	least, most := 450, 900
	if s := os.Getenv("LEAST"); s != "" {
		least, _ = strconv.Atoi(s)
		most, _ = strconv.Atoi(os.Getenv("MOST"))
	}
	type variant struct {
		name string
		set  func()
	}
	variants := []variant{
		{"final", func() {}},
	}
	names := []string{"steady", "changing", "bursts", "lanes"}
	if s := os.Getenv("LOAD"); s != "" {
		names = []string{s}
	}
	asks := map[string][]asked{}
	start := time.Now()
	for _, name := range names {
		for _, arr := range []bool{false, true} {
			all := make([]asked, n)
			var wg sync.WaitGroup
			for w := range 2 {
				wg.Go(func() {
					for i := w; i < n; i += 2 {
						all[i] = ask(loads()[name], uint64(base*1_000_000+i*2), least, most, arr)
					}
				})
			}
			wg.Wait()
			asks[fmt.Sprint(name, " ", arr)] = all
		}
	}
	fmt.Println("simulated", time.Since(start))
	for _, v := range variants {
		v.set()
		start := time.Now()
		for _, name := range names {
			for _, arr := range []bool{false, true} {
				in, below, above, none, width, like := 0, 0, 0, 0, 0.0, 0.0
				for _, a := range asks[fmt.Sprint(name, " ", arr)] {
					got, err := forecast.Wait(a.question)
					if err != nil {
						none++
						continue
					}
					switch {
					case a.rest < got.Low:
						below++
					case a.rest > got.High:
						above++
					default:
						in++
					}
					width += math.Log(float64(got.High-got.Low+time.Millisecond) / float64(got.Likely+time.Second))
					like += math.Abs(math.Log(float64(a.rest+time.Second) / float64(got.Likely+time.Second)))
				}
				fmt.Printf("%-12s %-10s arrival %-5v in %5.1f  below %4.1f above %4.1f none %d  width %.2f  err %.2f\n", v.name, name, arr,
					1000*float64(in)/float64(n-none), 100*float64(below)/float64(n-none), 100*float64(above)/float64(n-none), none, math.Exp(width/float64(n-none)), like/float64(n-none))
			}
		}
		fmt.Println(time.Since(start))
	}
}
