package baseline

import (
	"cmp"
	"slices"
)

// Ratio is the median, the lowest and the highest ratio of pairs of measurements.
type Ratio struct{ Median, Lowest, Highest float64 }

// RatioOf divides each measured value by the baseline value with the same index. It needs at least one pair.
func RatioOf(measured, baseline []float64) Ratio {
	ratios := make([]float64, len(measured))
	for i := range measured {
		ratios[i] = measured[i] / baseline[i]
	}
	return Ratio{Median: Median(ratios), Lowest: slices.Min(ratios), Highest: slices.Max(ratios)}
}

// Median returns the middle value, or the mean of the two middle values. It needs at least one value.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Quantile returns the smallest value that at least the given percentage of values does not exceed. Without values it returns
// the zero value.
func Quantile[T cmp.Ordered](values []T, percent int) (quantile T) {
	if len(values) == 0 {
		return quantile
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)*percent/100]
}
