package postgres

import "github.com/attune-go/attune"

// authorColumns are the columns in which event ev keeps its author: see authorValues.
const authorColumns = `ev.principal, ev.auth_method, ev.on_behalf_of, ev.note`

// authorValues is an author as an event keeps it: all NULL when there is none.
type authorValues struct {
	principal, onBehalfOf, note *string
	method                      *attune.AuthMethod
}

func authorValuesOf(author *attune.Author) authorValues {
	if author == nil {
		return authorValues{}
	}
	return authorValues{
		principal: &author.Principal.Name, method: &author.Principal.Method, onBehalfOf: &author.OnBehalfOf, note: &author.Note,
	}
}

func (v authorValues) author() *attune.Author {
	if v.principal == nil || v.method == nil || v.onBehalfOf == nil || v.note == nil {
		return nil
	}
	return &attune.Author{
		Principal: attune.Principal{Name: *v.principal, Method: *v.method}, OnBehalfOf: *v.onBehalfOf, Note: *v.note,
	}
}
