package packs

import "github.com/attune-go/attune"

// Pools returns the pools that the actions of packs run in, with repetitions.
func Pools(packs []attune.Pack) []string {
	var pools []string
	for _, pack := range packs {
		for _, action := range pack.Actions {
			pools = append(pools, action.Pool)
		}
	}
	return pools
}

// Folders returns the folder of each pack, by the pack's name.
func Folders(packs []attune.Pack) map[string]string {
	folders := make(map[string]string, len(packs))
	for _, pack := range packs {
		folders[pack.Name] = pack.Dir
	}
	return folders
}
