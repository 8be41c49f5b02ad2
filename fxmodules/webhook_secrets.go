package fxmodules

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/readfile"
	"github.com/attune-go/attune/sources"
)

// failureAge is how long the failure to read a file is remembered. Anyone can send deliveries without a signature: they must not make
// attune read a file again and again that it cannot use.
const failureAge = 10 * time.Second

// webhookSecrets finds the secrets of webhooks. The secret NAME is the variable NAME, or the content of the file that the
// variable NAME_FILE names. It is safe for concurrent use.
type webhookSecrets struct {
	environment func(name string) (string, bool)
	readFile    func(path string) ([]byte, error) // ends: see [readfile.Reader]
	now         func() time.Time

	mu    sync.Mutex
	files map[string]webhookFile // guarded by mu; each file that was needed, by its path
	reads int                    // guarded by mu; how many reads of files have begun
}

// webhookFile is what attune knows of the file of a secret.
type webhookFile struct {
	secret   string    // the last content that could be used, or ""
	failure  error     // of the last read
	failedAt time.Time // when the last read failed
	read     int       // the number of the last read
}

func newWebhookSecrets(environment func(string) (string, bool)) *webhookSecrets {
	return &webhookSecrets{
		environment: environment, readFile: new(readfile.Reader).Read, now: time.Now, files: map[string]webhookFile{},
	}
}

// lookup returns a secret, or "" if it is not set. A file is read when its secret is needed, until it can be used, and by reload. A
// failure is remembered for [failureAge]. The error is an [attune.CodeUnavailable] error. Its message names the variable, and its cause
// the file: only the log has the cause.
//
// A read can take [readfile.TimeLimit]. No lock is held as long, so a secret that is known does not wait for it.
func (w *webhookSecrets) lookup(name string) (string, error) {
	if value, _ := w.environment(name); value != "" {
		return value, nil
	}
	path, _ := w.environment(name + "_FILE")
	if path == "" {
		return "", nil
	}
	file := w.known(path)
	if file.secret == "" && (file.failure == nil || w.now().Sub(file.failedAt) >= failureAge) {
		file = w.read(path)
	}
	if file.secret == "" {
		return "", attune.WrapError(attune.CodeUnavailable, file.failure,
			"the file of a webhook's secret that the environment variable %s_FILE names cannot be used: the log of attune says why", name)
	}
	return file.secret, nil
}

func (w *webhookSecrets) known(path string) webhookFile {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files[path]
}

// read reads a file and returns what is known of it then. Of two reads at the same time, the one that began later counts.
func (w *webhookSecrets) read(path string) webhookFile {
	w.mu.Lock()
	w.reads++
	number := w.reads
	w.mu.Unlock()
	secret, err := w.readSecret(path)
	w.mu.Lock()
	defer w.mu.Unlock()
	file := w.files[path]
	if number < file.read {
		return file
	}
	file.read, file.failure = number, err
	if err == nil {
		file.secret = secret
	} else {
		file.failedAt = w.now()
	}
	w.files[path] = file
	return file
}

func (w *webhookSecrets) readSecret(path string) (string, error) {
	secret, err := config.ReadSecret(w.readFile, path)
	if err != nil {
		return "", err
	}
	if err := sources.CheckSecret(secret); err != nil {
		return "", fmt.Errorf("%q %w", path, err)
	}
	return secret, nil
}

// check logs each secret of the packs' webhooks that is set and cannot be used: its deliveries would get 503.
func (w *webhookSecrets) check(loaded []attune.Pack, log *slog.Logger) {
	for _, pack := range loaded {
		for _, trigger := range pack.Triggers {
			if trigger.Webhook == nil {
				continue
			}
			name := trigger.Webhook.SecretEnv
			secret, err := w.lookup(name)
			if err == nil && secret != "" {
				err = sources.CheckSecret(secret)
			}
			if err != nil {
				log.Error("the secret of a webhook cannot be used, its deliveries get 503",
					"trigger", trigger.Ref, "variable", name, "error", err)
			}
		}
	}
}

// reload reads the files again, and logs each one that cannot be used. It reports whether all could be used.
func (w *webhookSecrets) reload(log *slog.Logger) (ok bool) {
	w.mu.Lock()
	before := maps.Clone(w.files)
	w.mu.Unlock()
	ok = true
	for path, earlier := range before {
		switch file := w.read(path); {
		case file.failure != nil:
			ok = false
			log.Error("the file of a webhook secret cannot be used, attune keeps the old secret", "file", path, "error", file.failure)
		case file.secret != earlier.secret:
			log.Info("the secret of a webhook has changed", "file", path)
		}
	}
	return ok
}
