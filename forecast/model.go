package forecast

import (
	"math"
	"slices"
)

// The grid of the spread: see model.
func spreads() (ofHolds, ofChanges []float64) {
	return []float64{0.3, 0.5, 0.75, 1.1}, []float64{0.03, 0.1, 0.2, 0.4, 0.8}
}

const (
	sampled     = 200 // the recorded waits that the fit uses
	newsPart    = 0.6 // how much of a change counts as spread
	trustInFit  = 6.0 // with so many independent waits, the factor of the prediction is half that of the recorded waits
	greatSpread = 4.0 // the greatest variance: above it, the cube root of a quotient is not nearly normal
)

// model says how the waits differ from their predictions.
type model struct {
	half      int     // index of the half-life
	factor    float64 // of the prediction
	ofHolds   float64 // the relative variance of one hold
	ofChanges float64 // the relative variance of the holds to come
}

func (f *model) variance(m *moment) float64 {
	known := &m.means[f.half]
	news := newsPart * known.news
	return min(f.ofHolds*(1/m.need+known.noise)+f.ofChanges+news*news, greatSpread)
}

// freshness returns the share of the variance that comes from a change.
func (f *model) freshness(m *moment) float64 {
	news := newsPart * m.means[f.half].news
	return min(1, news*news/f.variance(m))
}

func (f *model) predict(m *moment) float64 { return f.factor * m.share * m.means[f.half].hold }

// score returns the standard score of a quotient's cube root.
func score(root, variance float64) float64 {
	return (root - (1 - variance/9)) * 3 / math.Sqrt(variance)
}

// quantile returns the rest of a wait with a score, in seconds.
func (f *model) quantile(m *moment, z float64) float64 {
	v := f.variance(m)
	root := max(0, 1-v/9+z*math.Sqrt(v)/3)
	return f.predict(m) * root * root * root
}

// scores returns the scores of recorded waits.
func (f *model) scores(waits []moment) []scored {
	scores := make([]scored, len(waits))
	for i := range waits {
		m := &waits[i]
		scores[i] = scored{at: m.at, until: m.until(), z: score(math.Cbrt(m.rest/f.predict(m)), f.variance(m))}
	}
	return scores
}

// fit returns the model with the half-life that explains the recorded waits best. Its variances are means over the grid, weighted by the
// likelihood: few independent waits exclude little.
func fit(waits []moment, each float64) model {
	n := min(len(waits), sampled)
	sample := make([]moment, n)
	for i := range sample {
		sample[i] = waits[i*len(waits)/n]
	}
	best, most := model{}, math.Inf(-1)
	for half := range candidates {
		if m, evidence := fitHalf(sample, half, float64(len(waits))/each); evidence > most {
			best, most = m, evidence
		}
	}
	return best
}

// fitHalf returns the model with one half-life, and the logarithm of its evidence from so many independent waits.
func fitHalf(sample []moment, half int, independent float64) (model, float64) {
	m := model{half: half, factor: 1}
	roots, scale := make([]float64, len(sample)), 0.0
	for i := range sample {
		roots[i] = sample[i].rest / m.predict(&sample[i])
	}
	sorted := slices.Sorted(slices.Values(roots))
	m.factor = math.Pow(max(sorted[len(sorted)/2], 1e-3), independent/(independent+trustInFit))
	for i := range sample {
		roots[i] = math.Cbrt(roots[i] / m.factor)
		scale += math.Log(m.predict(&sample[i])) / 3
	}
	ofHolds, ofChanges := spreads()
	top, weight, a, b := math.Inf(-1), 0.0, 0.0, 0.0
	for _, holds := range ofHolds {
		for _, changes := range ofChanges {
			m.ofHolds, m.ofChanges = holds*holds, changes*changes
			likelihood := (m.likelihood(sample, roots) - scale) * independent / float64(len(sample))
			if likelihood > top { // weigh from here on by this one
				less := math.Exp(top - likelihood)
				top, weight, a, b = likelihood, weight*less, a*less, b*less
			}
			w := math.Exp(likelihood - top)
			weight, a, b = weight+w, a+w*m.ofHolds, b+w*m.ofChanges
		}
	}
	m.ofHolds, m.ofChanges = a/weight, b/weight
	return m, top + math.Log(weight)
}

// likelihood returns the logarithm of the likelihood of the roots, up to a constant. It is that of Student's distribution with four
// degrees of freedom, which bears a few waits that nothing explains.
func (f *model) likelihood(sample []moment, roots []float64) (sum float64) {
	product := 1.0
	for i := range sample {
		v := f.variance(&sample[i])
		z := score(roots[i], v)
		y := 1 + z*z/4
		if product *= v * y * y * y * y * y; product > 1e200 || product < 1e-200 {
			sum -= math.Log(product) / 2
			product = 1
		}
	}
	return sum - math.Log(product)/2
}
