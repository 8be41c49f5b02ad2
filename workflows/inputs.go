package workflows

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/attune-go/attune"
)

// The types of this file are the arguments of the updates that people send with Temporal's own tools. Unlike the API, such a tool
// does not check the argument. So decoding refuses unknown fields, and Temporal answers with the error. The id of the update is the
// id of the request.

// person says for whom and why a change is made with Temporal's tools. Temporal does not say who sent an update, so the principal of
// the change is [attune.AuthTemporal].
type person struct {
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
	Note       string `json:"note,omitempty"`
}

func (p person) author() attune.Author {
	return attune.Author{
		Principal:  attune.Principal{Name: "temporal", Method: attune.AuthTemporal},
		OnBehalfOf: p.OnBehalfOf, Note: p.Note,
	}
}

// ChangeInput is the argument of the updates [UpdatePause], [UpdateResume] and [UpdateDrain].
//
// Stored in Temporal's history: the argument of an update.
type ChangeInput struct{ person }

// LimitInput is the argument of [UpdateSetLimit].
//
// Stored in Temporal's history: the argument of an update.
type LimitInput struct {
	person
	Limit *int      `json:"limit"`          // required; 0 to [attune.MaxLimit]
	Until time.Time `json:"until,omitzero"` // in whole seconds; zero means until a person clears the limit
	Lane  int32     `json:"lane,omitempty"` // the number of a lane; 0 means the whole queue
}

// ClearInput is the argument of [UpdateClearLimit].
//
// Stored in Temporal's history: the argument of an update.
type ClearInput struct {
	person
	Lane int32 `json:"lane,omitempty"` // the number of a lane; 0 means the whole queue
}

func (in ClearInput) request() (attune.ChangeRequest, error) {
	return attune.ChangeRequest{Author: in.author(), Kind: limitKind(in.Lane), Lane: in.Lane}, nil
}

// limitKind returns the kind of a change of the limit of a lane, or of the queue.
func limitKind(lane int32) attune.QueueChangeKind {
	if lane != 0 {
		return attune.ChangeLaneLimit
	}
	return attune.ChangeLimit
}

func (in LimitInput) request() (attune.ChangeRequest, error) {
	if in.Limit == nil {
		return attune.ChangeRequest{}, attune.Errorf(attune.CodeInvalid,
			`limit is missing: use {"limit": 5}, or the update %q to return to the policy's limit`, UpdateClearLimit)
	}
	limit := &attune.LimitOverride{Limit: *in.Limit, Until: in.Until}
	return attune.ChangeRequest{Author: in.author(), Kind: limitKind(in.Lane), Lane: in.Lane, Limit: limit}, nil
}

// CancelInput is the argument of [UpdateCancel].
//
// Stored in Temporal's history: the argument of an update.
type CancelInput struct {
	person
	Enforcement attune.EnforcementID `json:"enforcement"` // required
	Sequence    int64                `json:"sequence"`    // required; the place of the enforcement in this queue
}

func (in CancelInput) request() (attune.ChangeRequest, error) {
	ticket := attune.Ticket{Enforcement: in.Enforcement, Sequence: in.Sequence}
	return attune.ChangeRequest{Author: in.author(), Kind: attune.ChangeCancel, Ticket: ticket}, nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (in *ChangeInput) UnmarshalJSON(data []byte) error { return decodeStrictly(data, &in.person) }

// UnmarshalJSON implements [json.Unmarshaler].
func (in *LimitInput) UnmarshalJSON(data []byte) error {
	type fields LimitInput
	return decodeStrictly(data, (*fields)(in))
}

// UnmarshalJSON implements [json.Unmarshaler].
func (in *ClearInput) UnmarshalJSON(data []byte) error {
	type fields ClearInput
	return decodeStrictly(data, (*fields)(in))
}

// UnmarshalJSON implements [json.Unmarshaler].
func (in *CancelInput) UnmarshalJSON(data []byte) error {
	type fields CancelInput
	return decodeStrictly(data, (*fields)(in))
}

func decodeStrictly(data []byte, fields any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(fields)
}
