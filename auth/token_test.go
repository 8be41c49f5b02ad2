package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

func TestTokenRequest_Validate(t *testing.T) {
	t.Parallel()
	valid := []auth.TokenRequest{
		{Name: "ci", Role: auth.RoleOperator},
		{Name: "0.a_b-c@d.example", Role: auth.RoleViewer, Life: auth.MinTokenLife},
		{Name: strings.Repeat("n", auth.MaxTokenName), Role: auth.RoleAdmin, Life: auth.MaxTokenLife},
		{Name: "hook", Role: auth.RoleEvent, Triggers: []attune.Ref{"github.push", "github.tag"}},
	}
	for _, request := range valid {
		require.NoError(t, request.Validate())
	}

	many := make([]attune.Ref, auth.MaxTokenTriggers+1)
	for message, request := range map[string]auth.TokenRequest{
		`name "": use 1 to 100`:               {Role: auth.RoleViewer},
		`name "CI": use`:                      {Name: "CI", Role: auth.RoleViewer},
		`name "a b": use`:                     {Name: "a b", Role: auth.RoleViewer},
		`name ".a": use`:                      {Name: ".a", Role: auth.RoleViewer},
		`name "a/b": use`:                     {Name: "a/b", Role: auth.RoleViewer},
		`name "a\n": use`:                     {Name: "a\n", Role: auth.RoleViewer},
		`name "nnn`:                           {Name: strings.Repeat("n", auth.MaxTokenName+1), Role: auth.RoleViewer},
		`"bootstrap" belongs to`:              {Name: "bootstrap", Role: auth.RoleViewer},
		`role: "root" is not a role`:          {Name: "ci", Role: "root"},
		`triggers: the role event needs 1`:    {Name: "ci", Role: auth.RoleEvent},
		`event needs 1 to 100`:                {Name: "ci", Role: auth.RoleEvent, Triggers: many},
		`only the role event has triggers`:    {Name: "ci", Role: auth.RoleViewer, Triggers: []attune.Ref{"a.b"}},
		`triggers: reference "push"`:          {Name: "ci", Role: auth.RoleEvent, Triggers: []attune.Ref{"push"}},
		`triggers: "a.b" is named twice`:      {Name: "ci", Role: auth.RoleEvent, Triggers: []attune.Ref{"a.b", "c.d", "a.b"}},
		`expires_in: 59s: use 1m0s to 87600h`: {Name: "ci", Role: auth.RoleViewer, Life: 59 * time.Second},
		`expires_in: -1m0s`:                   {Name: "ci", Role: auth.RoleViewer, Life: -time.Minute},
		`expires_in: 87600h0m1s`:              {Name: "ci", Role: auth.RoleViewer, Life: auth.MaxTokenLife + time.Second},
	} {
		err := request.Validate()
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), message)
		require.ErrorContains(t, err, message)
	}
}

func TestCheckLife(t *testing.T) {
	t.Parallel()
	for life, valid := range map[time.Duration]bool{
		auth.MinTokenLife: true, auth.MaxTokenLife: true, 0: false, -1: false, auth.MinTokenLife - 1: false, auth.MaxTokenLife + 1: false,
	} {
		require.Equal(t, valid, auth.CheckLife(life) == nil, life)
	}
}

func TestCheckKeepOld(t *testing.T) {
	t.Parallel()
	for keep, valid := range map[time.Duration]bool{0: true, auth.DefaultKeepOld: true, auth.MaxKeepOld: true, -1: false, auth.MaxKeepOld + 1: false} {
		err := auth.CheckKeepOld(keep)
		require.Equal(t, valid, err == nil, keep)
		if !valid {
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		}
	}
}
