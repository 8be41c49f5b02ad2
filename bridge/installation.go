package bridge

import "github.com/attune-go/attune"

// split separates what belongs to an installation from the rest. Requests and reports of another installation are older than the
// restore of the database, and their ids can mean other executions now.
func split[T any](all []T, installation attune.InstallationID, of func(T) attune.InstallationID) (ours, others []T) {
	for _, one := range all {
		if of(one) == installation {
			ours = append(ours, one)
		} else {
			others = append(others, one)
		}
	}
	return ours, others
}
