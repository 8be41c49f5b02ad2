package services

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Config says which services to start together. A service with a nil config is not started.
//
// A service without a folder in its own config uses Dir/postgres, Dir/rabbitmq or Dir/temporal.
type Config struct {
	Dir      string // made private ([PrivateDir]) and locked while the services run; empty if each has a folder of its own
	Passable bool   // every user may enter Dir ([PassableDir])
	Postgres *PostgresConfig
	RabbitMQ *RabbitMQConfig
	Temporal *TemporalConfig
}

// Set holds services that were started together; a service that was not requested is nil.
type Set struct {
	Postgres *Postgres
	RabbitMQ *RabbitMQ
	Temporal *Temporal

	lock *os.File // of the folder; nil without a folder
}

// Start starts the services in parallel and returns when all are ready. If one cannot start, Start stops the others. ctx
// bounds the start only.
//
// A folder with data but without passwords is an [OldDataError] that names the whole folder, because the services' data
// belong together. A folder that another set uses is refused.
func Start(ctx context.Context, config Config) (*Set, error) {
	if err := config.requirePasswords(); err != nil {
		return nil, err
	}
	lock, err := config.lock()
	if err != nil {
		return nil, err
	}
	var (
		set   = &Set{lock: lock}
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		begin = func(start func(context.Context) error) {
			wg.Go(func() {
				if err := start(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
	)
	if config.Postgres != nil {
		begin(func(ctx context.Context) (err error) {
			set.Postgres, err = StartPostgres(ctx, config.postgres())
			return err
		})
	}
	if config.RabbitMQ != nil {
		begin(func(ctx context.Context) (err error) {
			set.RabbitMQ, err = StartRabbitMQ(ctx, config.rabbitMQ())
			return err
		})
	}
	if config.Temporal != nil {
		begin(func(ctx context.Context) (err error) {
			set.Temporal, err = StartTemporal(ctx, config.temporal())
			return err
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace+10*time.Second)
		defer cancel()
		return nil, errors.Join(append(errs, set.Stop(stopCtx))...)
	}
	return set, nil
}

// Stop stops all services in parallel; see [Postgres.Stop].
func (s *Set) Stop(ctx context.Context) error {
	var (
		wg   sync.WaitGroup
		errs = make([]error, 3)
	)
	for i, each := range s.services() {
		if each != nil {
			wg.Go(func() { errs[i] = each.Stop(ctx) })
		}
	}
	wg.Wait()
	if s.lock != nil {
		_ = s.lock.Close() // releases the lock
	}
	return errors.Join(errs...)
}

// Wait returns the reason when a service ends by itself, or nil when ctx ends.
func (s *Set) Wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 3)
	for _, each := range s.services() {
		if each != nil {
			go func() {
				select {
				case <-each.Done():
					ended <- each.Err()
				case <-ctx.Done():
				}
			}()
		}
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (s *Set) services() [3]*service {
	var all [3]*service
	if s.Postgres != nil {
		all[0] = &s.Postgres.service
	}
	if s.RabbitMQ != nil {
		all[1] = &s.RabbitMQ.service
	}
	if s.Temporal != nil {
		all[2] = &s.Temporal.service
	}
	return all
}

// requirePasswords returns an [OldDataError] if a service has data without passwords.
func (c Config) requirePasswords() error {
	if c.Postgres != nil {
		dir := c.postgres().Dir
		version, err := postgresVersion(dir)
		if err != nil {
			return err
		}
		if version != "" && !hasPasswords(dir) {
			return &OldDataError{Dir: cmp.Or(c.Dir, dir)}
		}
	}
	if c.RabbitMQ != nil {
		if dir := c.rabbitMQ().Dir; rabbitHasData(dir) && !hasPasswords(dir) {
			return &OldDataError{Dir: cmp.Or(c.Dir, dir)}
		}
	}
	return nil
}

// lock makes the folder private and excludes other sets: on free ports, a second RabbitMQ would start on the data of the
// first. The lock ends with the process at the latest.
func (c Config) lock() (*os.File, error) {
	if c.Dir == "" {
		return nil, nil
	}
	private := PrivateDir
	if c.Passable {
		private = PassableDir
	}
	if err := private(c.Dir); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(c.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", c.Dir, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %q: %w", c.Dir, err)
		}
		return nil, fmt.Errorf("the services of another process use %q: end that process, or use another folder", c.Dir)
	}
	return file, nil
}

func (c Config) postgres() PostgresConfig {
	config := *c.Postgres
	if config.Dir == "" {
		config.Dir = filepath.Join(c.Dir, "postgres")
	}
	return config
}

func (c Config) rabbitMQ() RabbitMQConfig {
	config := *c.RabbitMQ
	if config.Dir == "" {
		config.Dir = filepath.Join(c.Dir, "rabbitmq")
	}
	return config
}

func (c Config) temporal() TemporalConfig {
	config := *c.Temporal
	if config.Dir == "" {
		config.Dir = filepath.Join(c.Dir, "temporal")
	}
	return config
}
