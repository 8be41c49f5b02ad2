package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/attune-go/attune"
)

// SQLSTATE codes and classes (the first two characters) that callers can handle, with the constraints and messages for them.
const (
	stateInvalidText        = "22P02"
	stateNotInRepertoire    = "22021"
	stateUntranslatable     = "22P05"
	stateUniqueViolation    = "23505"
	stateReadOnly           = "25006"
	stateNoDatabase         = "3D000"
	stateUndefinedTable     = "42P01"
	stateQueryCanceled      = "57014"
	classConnection         = "08"
	classAuthorization      = "28"
	classRollback           = "40" // deadlock, serialization failure
	classResources          = "53" // disk full, out of memory, too many connections
	classNotInState         = "55" // lock not available
	classOperator           = "57" // shutdown, crash recovery, cannot connect now
	classSystem             = "58" // I/O error
	messageUnavailable      = "the database does not answer"
	messageNotStorable      = "the database cannot store this text: it is not valid UTF-8 or contains a NUL character"
	constraintWebhookKey    = "triggers_webhook_key"
	constraintGrantNumber   = "enforcements_grant_number"
	constraintLoggedNumber  = "grants_pkey"
	constraintTokenName     = "tokens_name"
	constraintTokenPrefix   = "token_secrets_pkey"
	adviceMigrate           = "the database has no attune tables: migrate it first"
	messageGrantNumberTaken = "another enforcement took this grant number at the same moment: try again"
)

// wrap prefixes err with the operation that failed, and adds a code if a caller can handle the error. A nil err stays nil, and
// an error with a code keeps it.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	if _, coded := errors.AsType[*attune.Error](err); coded || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if code, message := classify(err); code != "" {
		return attune.WrapError(code, fmt.Errorf("%s: %w", operation, err), "%s", message)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// classify returns the code of err and a message for the caller. Both are empty for an error that is a bug.
func classify(err error) (attune.Code, string) {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyState(failure)
	}
	if lostConnection(err) {
		return attune.CodeUnavailable, messageUnavailable
	}
	return "", ""
}

// classifyState does the work of classify for errors from the server.
func classifyState(failure *pgconn.PgError) (attune.Code, string) {
	switch failure.Code {
	case stateInvalidText, stateNotInRepertoire, stateUntranslatable:
		return attune.CodeInvalid, messageNotStorable
	case stateReadOnly, stateQueryCanceled, stateNoDatabase:
		return attune.CodeUnavailable, messageUnavailable
	case stateUndefinedTable:
		return attune.CodeUnavailable, adviceMigrate
	case stateUniqueViolation:
		switch failure.ConstraintName {
		case constraintWebhookKey:
			return attune.CodeConflict, "a webhook key already belongs to another trigger"
		case constraintGrantNumber, constraintLoggedNumber:
			return attune.CodeUnavailable, messageGrantNumberTaken
		case constraintTokenName:
			return attune.CodeConflict, "a token with this name exists: rotate or revoke it, or use another name"
		case constraintTokenPrefix:
			return attune.CodeUnavailable, "another token has the same prefix by chance: try again"
		}
	}
	switch failure.Code[:min(2, len(failure.Code))] {
	case classConnection, classAuthorization, classRollback, classResources, classNotInState, classOperator, classSystem:
		return attune.CodeUnavailable, messageUnavailable
	}
	return "", ""
}

// lostConnection reports whether err means that the connection failed, was lost, or that no reply came in time.
func lostConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed) || pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}

// orNotFound turns "no rows" into an [attune.CodeNotFound] error with the given message.
func orNotFound(err error, format string, args ...any) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return attune.Errorf(attune.CodeNotFound, format, args...)
	}
	return err
}

// urlError does not quote the URL: in a malformed URL the password can be anywhere, so pgx cannot mask it.
func urlError() error {
	return attune.Errorf(attune.CodeInvalid, "the database URL cannot be read: use "+
		"postgres://user:password@host:5432/database with special characters of the password written as %%XX, "+
		"and check the settings after the question mark")
}

// connectError explains why a connection failed and what to do.
func connectError(config *pgx.ConnConfig, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("connect to PostgreSQL at %s: %w", address(config), err)
	}
	cause, advice := err, "check that it runs and that the address in the database URL is right"
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		cause = failure
		switch {
		case failure.Code == stateNoDatabase:
			advice = fmt.Sprintf("create the database with: createdb %s", config.Database)
		case strings.HasPrefix(failure.Code, classAuthorization):
			advice = fmt.Sprintf("check the password and the rights of user %q", config.User)
		case strings.HasPrefix(failure.Code, classResources):
			advice = "reduce the pools of the processes that use it, or raise max_connections"
		case strings.HasPrefix(failure.Code, classOperator):
			advice = "the server is starting or stopping: try again in a moment"
		}
	}
	return attune.WrapError(attune.CodeUnavailable, cause, "PostgreSQL at %s does not accept the connection: %s",
		address(config), advice)
}
