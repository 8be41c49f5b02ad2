package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// AuditLog keeps the requests that asked for a change.
type AuditLog interface {
	// Add adds an entry. An entry with the status 0 gets its status from Finish. An error with an id means that the entry can be in the
	// log: Add with this id in the entry adds no second one, and gives its status to an entry that has none.
	Add(ctx context.Context, entry auth.AuditEntry) (auth.AuditID, error)
	// Finish records the status of an entry that was added without one.
	Finish(ctx context.Context, id auth.AuditID, status int) error
	// List returns a page of entries, newest first.
	List(ctx context.Context, filter auth.AuditFilter, page attune.Page) ([]auth.AuditEntry, error)
}

// finishTimeout bounds how long a request waits for the record of its outcome.
const finishTimeout = 5 * time.Second

// auditedRequest is a request for a change, with its entry for the audit log. The entry is added before the change is made, so that
// no change is without an entry; the status follows after the change.
type auditedRequest struct {
	entry auth.AuditEntry
	// ownAuthor: the change writes its author into its own rows (events and runs), so only a denied request gets an entry.
	ownAuthor bool
	added     bool // the entry is in the audit log, with the id entry.ID
	cutOff    bool // the time of the change was over before its handler returned
}

// newAuditedRequest returns nil for a request that changes nothing.
func newAuditedRequest(r *http.Request, access access, caller auth.Caller) *auditedRequest {
	if access.action == "" {
		return nil
	}
	info := requestInfoOf(r.Context())
	a := &auditedRequest{
		ownAuthor: access.right == auth.RightSendEvents || access.right == auth.RightRun,
		entry: auth.AuditEntry{
			Role: caller.Role, Token: caller.Token, Action: access.action, Subject: subjectOf(info.route, r.URL.EscapedPath()),
			RequestID: info.id, Remote: remoteOf(r),
		},
	}
	if caller.Principal != (attune.Principal{}) {
		a.entry.Principal = &caller.Principal
	}
	return a
}

// actionOf names what an operation does: "queue.pause" for the operation pause-queue. It is empty for an operation that changes
// nothing.
func actionOf(right auth.Right, op huma.Operation) string {
	if op.Method == http.MethodGet || right == auth.RightRead {
		return ""
	}
	verb, noun, _ := strings.Cut(op.OperationID, "-")
	return noun + "." + verb
}

// subjectOf returns the parts of a path that the route has variables for, with spaces between them: "action shop.deploy".
func subjectOf(route, path string) string {
	values := strings.Split(path, "/")
	var named []string
	for i, segment := range strings.Split(route, "/") {
		if strings.HasPrefix(segment, "{") && i < len(values) {
			value, err := url.PathUnescape(values[i])
			if err != nil {
				value = values[i]
			}
			named = append(named, attune.EscapeText(value))
		}
	}
	return strings.Join(named, " ")
}

func remoteOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

type auditedRequestKey struct{}

// nameSubject names the resource of a request whose path does not name it, for its entry in the audit log.
func nameSubject(ctx context.Context, subject string) {
	if a, _ := ctx.Value(auditedRequestKey{}).(*auditedRequest); a != nil {
		a.entry.Subject = attune.EscapeText(subject)
	}
}

// serveAudited serves a request of an authenticated caller, and records its outcome.
func (s *Server) serveAudited(next http.Handler, w http.ResponseWriter, r *http.Request, a *auditedRequest) {
	if a == nil {
		next.ServeHTTP(w, r)
		return
	}
	recorder := &statusRecorder{ResponseWriter: w}
	status := http.StatusInternalServerError // of a panic
	defer func(ctx context.Context) { s.recordOutcome(ctx, a, status) }(r.Context())
	next.ServeHTTP(recorder, r.WithContext(context.WithValue(r.Context(), auditedRequestKey{}, a)))
	status = recorder.statusCode()
}

// addEntry adds the entry of a request before its handler runs. Without an entry, the handler does not run. It comes after
// bufferBody: the body is in memory.
//
// From here on, the entry and the change do not depend on the caller: it has sent its whole request, and can leave.
func (s *Server) addEntry(ctx huma.Context, next func(huma.Context)) {
	a, _ := ctx.Context().Value(auditedRequestKey{}).(*auditedRequest)
	if a == nil || a.ownAuthor {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	if ctx.Operation().RequestBody != nil { // otherwise bufferBody has not read it
		a.readBody(r)
	}
	changing, cancel := withoutCaller(r.Context())
	defer cancel()
	id, err := s.deps.Audit.Add(changing, a.entry)
	a.entry.ID, a.added = id, err == nil
	if err != nil {
		s.problem(r.Context(), err).ServeHTTP(w, r)
		return
	}
	next(huma.WithContext(ctx, changing))
	a.cutOff = changing.Err() != nil
}

// servingKey is the key of the context that ends with [Server.Serve].
type servingKey struct{}

// withoutCaller returns a context that does not end when the caller of a request leaves. It keeps the time limit of the request, and
// ends with the server.
func withoutCaller(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, _ := ctx.Deadline() // limitTime has set it
	changing, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	serving, _ := ctx.Value(servingKey{}).(context.Context)
	if serving == nil { // the handler runs in another server
		return changing, cancel
	}
	forget := context.AfterFunc(serving, cancel)
	return changing, func() {
		forget()
		cancel()
	}
}

// readBody adds what the body says about the change. It ignores a body that the handler will refuse.
func (a *auditedRequest) readBody(r *http.Request) {
	data, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(data))
	var body struct {
		Attribution
		Name   string          `json:"name"`
		Policy json.RawMessage `json:"policy"`
		Until  json.RawMessage `json:"until"`
	}
	if err != nil || json.Unmarshal(data, &body) != nil {
		return
	}
	if attune.CheckText("on_behalf_of", body.OnBehalfOf, attune.MaxOnBehalfOf) == nil {
		a.entry.OnBehalfOf = body.OnBehalfOf
	}
	if attune.CheckText("note", body.Note, attune.MaxChangeNote) == nil {
		a.entry.Note = body.Note
	}
	if a.entry.Subject == "" {
		a.entry.Subject = attune.EscapeText(body.Name)
	}
	if body.Policy != nil {
		a.entry.Detail = detailOf(map[string]json.RawMessage{"policy": body.Policy, "until": body.Until})
	}
}

// maxAuditDetail bounds what the audit log keeps of a policy, in bytes.
const maxAuditDetail = 64 << 10

// detailOf returns the members that are there as an object, or only its size if it is too large or no text of the database.
func detailOf(members map[string]json.RawMessage) json.RawMessage {
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return value == nil })
	detail, err := json.Marshal(members)
	if err != nil || len(detail) > maxAuditDetail || !utf8.Valid(detail) {
		detail, _ = json.Marshal(map[string]int{"omitted_bytes": len(detail)}) // cannot fail
	}
	return detail
}

// recordOutcome records the status of a request, also when its sender has disconnected: then the status is the one that the sender
// would have got. A request that was denied before its handler ran has no entry yet: it has changed nothing, and gets one within the
// bounds of [denials]. A caller above its rate limit gets none: the entries of its earlier requests show it.
//
// The entry of a change that was cut off stays without a status: the change can still be made.
func (s *Server) recordOutcome(ctx context.Context, a *auditedRequest, status int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	var err error
	switch {
	case a.cutOff && status >= http.StatusInternalServerError:
		err = errors.New("the time of the change was over before its result was known")
	case a.added:
		err = s.deps.Audit.Finish(ctx, a.entry.ID, status)
	case status < http.StatusBadRequest || status == http.StatusTooManyRequests || a.ownAuthor && status != http.StatusForbidden:
		return
	case a.entry.ID != 0: // the entry can be in the log
		a.entry.Status = status
		_, err = s.deps.Audit.Add(ctx, a.entry)
	default:
		a.entry.Status = status
		err = s.addDenial(ctx, a.entry)
	}
	if err != nil {
		s.logger.ErrorContext(ctx, "the outcome of a request is not in the audit log", "action", a.entry.Action,
			"subject", a.entry.Subject, "status", status, "request_id", a.entry.RequestID, "err", err)
	}
}

// recordDenial records a request whose caller lacks a valid token or a right.
func (s *Server) recordDenial(r *http.Request, access access, caller auth.Caller, status int) {
	a := newAuditedRequest(r, access, caller)
	if a == nil || status != http.StatusUnauthorized && status != http.StatusForbidden {
		return
	}
	a.ownAuthor = false
	s.recordOutcome(r.Context(), a, status)
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
