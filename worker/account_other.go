//go:build !linux

package worker

import "errors"

// checkUsable returns an error: outside Linux, actions run as the user of the worker.
func (a *account) checkUsable(bool) error {
	return errors.New("actions can run as another user on Linux only")
}

// checkReaches is not called outside Linux.
func (a *account) checkReaches(...string) error { return nil }
