// Package client calls attune's HTTP API for the command line.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// timeout bounds one request.
const timeout = 30 * time.Second

// Client calls the API of one attune. It is safe for concurrent use.
type Client struct {
	base      string
	token     string
	tokenFrom string // place of the token, for messages
	http      http.Client
}

// New returns a client for the API at base ("http://127.0.0.1:8080", without a slash at the end) with its bearer token.
func New(base, token string) *Client {
	return &Client{base: base + "/api/v1", token: token, http: http.Client{Timeout: timeout}}
}

// WithTLS makes the client use a configuration for https URLs. Call it before the first request.
func (c *Client) WithTLS(config *tls.Config) *Client {
	c.http.Transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, TLSHandshakeTimeout: timeout,
	}
	return c
}

// WithTokenFrom makes errors about the token name its place. Call it before the first request.
func (c *Client) WithTokenFrom(place string) *Client {
	c.tokenFrom = place
	return c
}

// ErrNoDocument is the cause of the error for a response of 2xx that is no JSON document.
var ErrNoDocument = errors.New("the response is no JSON document")

// ProblemError is a response outside of 2xx, with the fields of its problem document (RFC 9457).
type ProblemError struct {
	Status int         `json:"status"`
	Title  string      `json:"title"`
	Detail string      `json:"detail"`
	Code   attune.Code `json:"code"`
	Errors []struct {
		Location string `json:"location"` // of the value in the request, such as body.policy.limit; may be empty
		Message  string `json:"message"`
	} `json:"errors"`

	Foreign   bool   `json:"-"` // the response has no problem document, so it is not of attune
	TokenFrom string `json:"-"` // of a 401: the place of the token, if it is known
}

func (p *ProblemError) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%d %s", p.Status, p.Title)
	}
	return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail)
}

// Get sends a GET request for path below /api/v1 and decodes the response into out. Errors are those of [Client.Do].
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.Do(ctx, http.MethodGet, path, nil, nil, out)
}

// GetVersion is [Client.Get] that also returns the ETag of the response.
func (c *Client) GetVersion(ctx context.Context, path string, out any) (etag string, err error) {
	header, err := c.do(ctx, http.MethodGet, path, nil, nil, out)
	return header.Get("ETag"), err
}

// Post sends body as JSON to path below /api/v1 and decodes the response into out. Errors are those of [Client.Do].
func (c *Client) Post(ctx context.Context, path string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.Do(ctx, http.MethodPost, path, http.Header{}, data, out)
}

// Put sends body as JSON to path below /api/v1 and decodes the response into out. Errors are those of [Client.Do].
func (c *Client) Put(ctx context.Context, path string, body, out any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.Do(ctx, http.MethodPut, path, http.Header{}, data, out)
}

// Delete sends a DELETE request for path below /api/v1, with body as JSON unless it is nil. Errors are those of [Client.Do].
func (c *Client) Delete(ctx context.Context, path string, body any) error {
	if body == nil {
		return c.Do(ctx, http.MethodDelete, path, nil, nil, nil)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	return c.Do(ctx, http.MethodDelete, path, http.Header{}, data, nil)
}

// Do sends a request for path below /api/v1 and decodes the JSON response into out, unless out is nil. A response outside of
// 2xx is a [*ProblemError]. A request takes at most 30 s.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, body []byte, out any) error {
	_, err := c.do(ctx, method, path, header, body, out)
	return err
}

// do is [Client.Do] that also returns the headers of the response.
func (c *Client) do(ctx context.Context, method, path string, header http.Header, body []byte, out any) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the response: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		p := problem(response, data)
		if p.Status == http.StatusUnauthorized {
			p.TokenFrom = c.tokenFrom
		}
		return nil, fmt.Errorf("%s %s: %w", method, path, p)
	}
	if out == nil {
		return response.Header, nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", method, path, ErrNoDocument, err)
	}
	return response.Header, nil
}

// maxForeignText bounds the text of a response that is not of attune, in bytes.
const maxForeignText = 200

func problem(response *http.Response, data []byte) *ProblemError {
	p := &ProblemError{}
	if json.Unmarshal(data, p) != nil || p.Title == "" {
		p.Title, p.Foreign = http.StatusText(response.StatusCode), true
		if text := strings.TrimSpace(string(data)); p.Detail == "" && !strings.HasPrefix(text, "<") && !strings.HasPrefix(text, "{") {
			p.Detail = attune.Shorten(text, maxForeignText)
		}
	}
	p.Status = response.StatusCode
	return p
}

// List reads every page of a list, newest first.
func List[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	values := url.Values{"limit": {strconv.Itoa(attune.MaxPageLimit)}}
	for name := range query {
		values[name] = query[name]
	}
	var all []T
	for {
		var page struct {
			Items []T    `json:"items"`
			Next  string `json:"next"`
		}
		if err := c.Get(ctx, path, values, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		values.Set("cursor", page.Next)
	}
}

// QueuePath returns the path of a queue below /api/v1.
func QueuePath(key attune.QueueKey) string { return "/queues/" + url.PathEscape(string(key)) }
