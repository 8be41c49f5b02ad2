package oidc

import (
	"context"
	"time"
)

// Ages of the keys. An issuer withdraws a key that others may know, and says so only by leaving it out of its set. So the age of the
// known keys bounds how long a withdrawn key works, as long as the issuer answers.
const (
	// refreshAge is the age from which the arrival of a token makes attune read the keys again in the background: tokens do not wait.
	refreshAge = 4 * time.Minute
	// maxAge is the age from which a token waits for the keys to be read again. It is short beside the life of a key, which is weeks, and
	// costs the issuer one request.
	maxAge = 5 * time.Minute
	// keepAge is the age up to which known keys are used while the issuer does not answer. It is long enough for a restart or a repair of
	// the issuer, and bounds what withdrawn keys can do to attune while an attacker keeps the issuer from answering.
	keepAge = time.Hour
	// retryPeriod is the time between readings while the issuer does not answer.
	retryPeriod = 5 * time.Second
)

// reading is one reading of the keys, for which several tokens can wait. The fields are set when done is closed.
type reading struct {
	done chan struct{}
	keys *keySet
	err  error
}

// currentKeys returns the keys to judge a token with. They are at most [maxAge] old, or [keepAge] while the issuer does not answer.
func (i *Issuer) currentKeys(ctx context.Context) (*keySet, error) {
	i.mu.Lock()
	known, age := i.known, time.Duration(0)
	if known != nil {
		age = i.config.Now().Sub(known.readAt)
	}
	if known != nil && age < maxAge {
		if age >= refreshAge && !i.failedLately() {
			i.begin(ctx)
		}
		i.mu.Unlock()
		return known, nil
	}
	i.mu.Unlock()
	keys, err := i.read(ctx)
	if err != nil && known != nil && age < keepAge && ctx.Err() == nil {
		return known, nil
	}
	return keys, err
}

// newerKeys returns keys that were read after others, because those have not signed a token.
func (i *Issuer) newerKeys(ctx context.Context, than *keySet) (*keySet, error) {
	i.mu.Lock()
	known := i.known
	i.mu.Unlock()
	if known != than {
		return known, nil
	}
	return i.read(ctx)
}

// read reads the keys, or waits for a reading that runs. After a failure it returns the same failure for [retryPeriod].
func (i *Issuer) read(ctx context.Context) (*keySet, error) {
	i.mu.Lock()
	if i.failedLately() {
		defer i.mu.Unlock()
		return nil, i.failure
	}
	running := i.begin(ctx)
	i.mu.Unlock()
	select {
	case <-running.done:
		return running.keys, running.err
	case <-ctx.Done():
		return nil, i.unavailable(ctx.Err())
	}
}

// failedLately reports whether the latest reading has failed less than [retryPeriod] ago. mu is held.
func (i *Issuer) failedLately() bool {
	return i.failure != nil && i.config.Now().Sub(i.failedAt) < retryPeriod
}

// begin returns the reading that runs, or begins one. mu is held. A caller that leaves does not end a reading: other callers wait for it,
// and the client has a timeout.
func (i *Issuer) begin(ctx context.Context) *reading {
	if i.running == nil {
		i.running = &reading{done: make(chan struct{})}
		go i.run(context.WithoutCancel(ctx), i.running)
	}
	return i.running
}

func (i *Issuer) run(ctx context.Context, r *reading) {
	i.mu.Lock()
	from := i.document
	i.mu.Unlock()
	// The age counts from the begin: the issuer can withdraw a key while it answers.
	begin := i.config.Now()
	found, keys, err := i.ask(ctx, from)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running = nil
	if err != nil {
		// The next reading begins with the document: the keys can have moved.
		i.document, i.failure, i.failedAt = nil, i.unavailable(err), i.config.Now()
		r.err = i.failure
	} else {
		keys.readAt = begin
		i.document, i.failure, i.known = found, nil, keys
		r.keys = keys
	}
	close(r.done)
}

// ask reads the discovery document, unless it is known, and the keys.
func (i *Issuer) ask(ctx context.Context, known *document) (*document, *keySet, error) {
	if known == nil {
		found, err := i.readDocument(ctx)
		if err != nil {
			return nil, nil, err
		}
		known = &found
	}
	keys, err := i.readKeys(ctx, known.KeysURL)
	if err != nil {
		return nil, nil, err
	}
	return known, &keySet{keys: keys, algorithms: asymmetric(known.Algorithms)}, nil
}
