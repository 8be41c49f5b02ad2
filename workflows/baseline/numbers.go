package baseline

import (
	"cmp"
	"slices"
)

// Ratio is what pairs of measurements have in common: the median, the lowest and the highest of their ratios.
type Ratio struct{ Median, Lowest, Highest float64 }

// RatioOf compares what was measured in turn: the i-th value with the i-th of the baseline. There is at least one pair.
func RatioOf(measured, baseline []float64) Ratio {
	ratios := make([]float64, len(measured))
	for i := range measured {
		ratios[i] = measured[i] / baseline[i]
	}
	return Ratio{Median: Median(ratios), Lowest: slices.Min(ratios), Highest: slices.Max(ratios)}
}

// Median returns the value in the middle, or between the two in the middle. There is at least one value.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Quantile returns the value that the given percentage of the values does not exceed; the zero value without values.
func Quantile[T cmp.Ordered](values []T, percent int) (quantile T) {
	if len(values) == 0 {
		return quantile
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)*percent/100]
}
