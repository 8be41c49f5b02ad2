package api

import (
	"net/http"
	"path"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// router is a ServeMux that lists its routes. Every route declares its access before it is registered: see [router.check].
type router struct {
	*http.ServeMux
	patterns []string
	access   map[string]access // by pattern
}

// access says which callers may use a route.
type access struct {
	public bool       // every caller, also without a token
	right  auth.Right // otherwise, the callers with this right
	action string     // name of the change in the audit log; empty for a route that changes nothing
}

func newRouter() *router {
	return &router{ServeMux: http.NewServeMux(), access: map[string]access{}}
}

// HandleFunc implements [humago.Mux].
func (r *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	r.patterns = append(r.patterns, pattern)
	r.ServeMux.HandleFunc(pattern, handler)
}

// handlePublic registers a route that needs no token.
func (r *router) handlePublic(pattern string, handler http.HandlerFunc) {
	r.access[pattern] = access{public: true}
	r.HandleFunc(pattern, handler)
}

// handle registers a route that needs a right.
func (r *router) handle(right auth.Right, pattern string, handler http.HandlerFunc) {
	r.access[pattern] = access{right: right}
	r.HandleFunc(pattern, handler)
}

// check returns an error for routes that no role can use: they were registered without a right.
func (r *router) check() error {
	var undeclared []string
	for _, pattern := range r.patterns {
		if a := r.access[pattern]; !a.public && len(a.right.Roles()) == 0 {
			undeclared = append(undeclared, pattern)
		}
	}
	if undeclared != nil {
		return attune.Errorf(attune.CodeInternal, "routes without a right: %s", strings.Join(undeclared, ", "))
	}
	return nil
}

// Handler returns the handler and the pattern of a request, as [http.ServeMux.Handler] does. A path that is not clean has no
// route: ServeMux would redirect the caller to another path, with a body in HTML.
func (r *router) Handler(req *http.Request) (http.Handler, string) {
	if !clean(req.URL.EscapedPath()) {
		return http.NotFoundHandler(), ""
	}
	return r.ServeMux.Handler(req)
}

// clean reports whether a path begins with a slash and has no empty segments, "." or "..", except for one slash at its end.
func clean(text string) bool { return text == cleaned(text) }

// cleaned returns the clean path with the same meaning.
func cleaned(text string) string {
	result := path.Clean("/" + text)
	if strings.HasSuffix(text, "/") && result != "/" {
		result += "/"
	}
	return result
}

// dispatch calls the matching route. A request without a route gets a [Problem] instead of ServeMux's plain text.
func (r *router) dispatch() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		handler, pattern := r.Handler(req)
		if pattern != "" {
			r.ServeHTTP(w, req) // not handler.ServeHTTP: only the mux sets the path values
			return
		}
		var answer muxAnswer
		handler.ServeHTTP(&answer, req)
		answer.problem(req).ServeHTTP(w, req)
	})
}

// muxAnswer records the status and headers of ServeMux's response to a request without a route.
type muxAnswer struct {
	header http.Header
	status int
}

// Header implements [http.ResponseWriter].
func (a *muxAnswer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// Write implements [http.ResponseWriter] and drops the text.
func (a *muxAnswer) Write(data []byte) (int, error) { return len(data), nil }

// WriteHeader implements [http.ResponseWriter].
func (a *muxAnswer) WriteHeader(status int) { a.status = status }

func (a *muxAnswer) problem(req *http.Request) *Problem {
	if a.status == http.StatusMethodNotAllowed {
		allow := a.Header().Get("Allow")
		return newProblem(a.status, CodeMethodNotAllowed, req.Method+" is not allowed at this path: use "+allow).with("Allow", allow)
	}
	detail := "there is nothing at " + req.URL.Path
	if !clean(req.URL.EscapedPath()) {
		detail += `: the path has an empty segment, "." or ".."`
	}
	return newProblem(http.StatusNotFound, string(attune.CodeNotFound), detail)
}
