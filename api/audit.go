package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// AuditLog keeps the requests that asked for a change.
type AuditLog interface {
	// Add adds an entry. A status of 0 stays open until Finish.
	Add(ctx context.Context, entry auth.AuditEntry) (auth.AuditID, error)
	// Finish records the status of an entry that was added without one.
	Finish(ctx context.Context, id auth.AuditID, status int) error
	// List returns a page of entries, newest first.
	List(ctx context.Context, filter auth.AuditFilter, page attune.Page) ([]auth.AuditEntry, error)
}

// Bounds of the entries that requests without a valid token add, per process: such a request costs its sender nothing. Every
// request of an authenticated caller gets its entry.
const (
	strangerBurst  = 20
	strangerPeriod = 10 * time.Second // between entries, after a burst
)

func newStrangers() *rate.Limiter { return rate.NewLimiter(rate.Every(strangerPeriod), strangerBurst) }

// finishTimeout bounds how long a request waits for the record of its outcome.
const finishTimeout = 5 * time.Second

// trail is the audit of one request. Its entry is added before the change, so that no change is without an entry; the status
// follows after the change.
type trail struct {
	entry auth.AuditEntry
	// journaled: a change writes its author itself (events and runs), so only a refusal gets an entry.
	journaled bool
	begun     bool // the entry is added, with the id entry.ID
}

// newTrail returns the audit of a request, or nil for a request that changes nothing.
func newTrail(r *http.Request, access access, caller auth.Caller) *trail {
	if access.action == "" {
		return nil
	}
	info := requestInfoOf(r.Context())
	t := &trail{
		journaled: access.right == auth.RightSendEvents || access.right == auth.RightRun,
		entry: auth.AuditEntry{
			Role: caller.Role, Token: caller.Token, Action: access.action, Subject: subjectOf(info.route, r.URL.EscapedPath()),
			RequestID: info.id, Remote: remoteOf(r),
		},
	}
	if caller.Principal != (attune.Principal{}) {
		t.entry.Principal = &caller.Principal
	}
	return t
}

// actionOf names what an operation does: "queue.pause" for the operation pause-queue.
func actionOf(op huma.Operation) string {
	if op.Method == http.MethodGet {
		return ""
	}
	verb, noun, _ := strings.Cut(op.OperationID, "-")
	return noun + "." + verb
}

// subjectOf returns the part of a path that the route has a variable for. Routes have at most one.
func subjectOf(route, path string) string {
	values := strings.Split(path, "/")
	for i, segment := range strings.Split(route, "/") {
		if strings.HasPrefix(segment, "{") && i < len(values) {
			value, err := url.PathUnescape(values[i])
			if err != nil {
				value = values[i]
			}
			return attune.EscapeText(value)
		}
	}
	return ""
}

func remoteOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

type trailKey struct{}

// audited serves a request of an authenticated caller, and records its outcome.
func (s *Server) audited(next http.Handler, w http.ResponseWriter, r *http.Request, t *trail) {
	if t == nil {
		next.ServeHTTP(w, r)
		return
	}
	recorder := &statusRecorder{ResponseWriter: w}
	status := http.StatusInternalServerError // of a panic
	defer func(ctx context.Context) { s.finish(ctx, t, status) }(r.Context())
	next.ServeHTTP(recorder, r.WithContext(context.WithValue(r.Context(), trailKey{}, t)))
	status = recorder.statusCode()
}

// begin adds the entry of a request before its handler runs. Without an entry, the handler does not run. It comes after
// bufferBody: the body is in memory.
func (s *Server) begin(ctx huma.Context, next func(huma.Context)) {
	t, _ := ctx.Context().Value(trailKey{}).(*trail)
	if t == nil || t.journaled {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	if ctx.Operation().RequestBody != nil { // otherwise bufferBody has not read it
		t.readBody(r)
	}
	id, err := s.deps.Audit.Add(r.Context(), t.entry)
	if err != nil {
		s.problem(r.Context(), err).ServeHTTP(w, r)
		return
	}
	t.entry.ID, t.begun = id, true
	next(ctx)
}

// readBody adds what the body says about the change. It ignores a body that the handler will refuse.
func (t *trail) readBody(r *http.Request) {
	data, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(data))
	var body struct {
		Attribution
		Name string `json:"name"`
	}
	if err != nil || json.Unmarshal(data, &body) != nil {
		return
	}
	if attune.CheckText("on_behalf_of", body.OnBehalfOf, attune.MaxOnBehalfOf) == nil {
		t.entry.OnBehalfOf = body.OnBehalfOf
	}
	if attune.CheckText("note", body.Note, attune.MaxChangeNote) == nil {
		t.entry.Note = body.Note
	}
	if t.entry.Subject == "" {
		t.entry.Subject = attune.EscapeText(body.Name)
	}
}

// finish records the status of a request, also when its sender has disconnected. A refusal before the handler ran has no entry
// yet. A caller above its rate limit gets none: the entries of its earlier requests show it.
func (s *Server) finish(ctx context.Context, t *trail, status int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	var err error
	switch {
	case t.begun:
		err = s.deps.Audit.Finish(ctx, t.entry.ID, status)
	case status < http.StatusBadRequest || status == http.StatusTooManyRequests || t.journaled && status != http.StatusForbidden:
		return
	default:
		t.entry.Status = status
		_, err = s.deps.Audit.Add(ctx, t.entry)
	}
	if err != nil {
		s.logger.ErrorContext(ctx, "the outcome of a request is not in the audit log", "action", t.entry.Action,
			"subject", t.entry.Subject, "status", status, "request_id", t.entry.RequestID, "err", err)
	}
}

// refuse records a request whose caller lacks a valid token or a right.
func (s *Server) refuse(r *http.Request, access access, caller auth.Caller, status int) {
	t := newTrail(r, access, caller)
	stranger := status == http.StatusUnauthorized
	if t == nil || !stranger && status != http.StatusForbidden || stranger && !s.strangers.Allow() {
		return
	}
	t.journaled = false
	s.finish(r.Context(), t, status)
}

type listAuditInput struct {
	Paging
	Principal string `query:"principal" doc:"Name of the principal"`
	Action    string `query:"action" doc:"What was asked for, such as queue.pause"`
	Subject   string `query:"subject" doc:"The resource, such as demo.deploy"`
}

func (s *Server) registerAudit() {
	register(s, auth.RightAdminister, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/audit", Tags: []string{"access"},
		Summary: "List the requests that asked for a change, newest first",
	}, s.listAudit)
}

func (s *Server) listAudit(ctx context.Context, in *listAuditInput) (*response[List[auth.AuditEntry]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	for location, text := range map[string]string{
		"query.principal": in.Principal, "query.action": in.Action, "query.subject": in.Subject,
	} {
		if err := attune.CheckText(location, text, auth.MaxAuditSubject); err != nil {
			return nil, err
		}
	}
	found, err := s.deps.Audit.List(ctx, auth.AuditFilter{Principal: in.Principal, Action: in.Action, Subject: in.Subject}, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(e auth.AuditEntry) int64 { return int64(e.ID) }, identity[auth.AuditEntry]), nil
}
