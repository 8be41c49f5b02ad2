package attune_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestParseEnvGrant(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"shop=TOKEN", "*=TOKEN", "shop=*", "*=*", "shop=AWS_*", "shop=_x9"} {
		grant, err := attune.ParseEnvGrant(text)
		require.NoError(t, err)
		require.Equal(t, text, grant.String())
	}
	for _, text := range []string{"", "TOKEN", "=TOKEN", "shop=", "shop=A-B", "shop=9A", "shop=*A", "shop=A*B", "Shop=A", "a b=A", "shop=A=B", "**=A"} {
		_, err := attune.ParseEnvGrant(text)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), "%q", text)
		require.ErrorContains(t, err, "use pack=NAME")
	}
}

func TestEnvGrants(t *testing.T) {
	t.Parallel()
	grants := attune.EnvGrants{{Pack: "shop", Name: "SHOP_TOKEN"}, {Pack: "*", Name: "PROXY_*"}, {Pack: "ops", Name: "*"}}
	for name, test := range map[string]struct {
		pack, variable string
		want           bool
	}{
		"a granted variable is allowed":                          {"shop", "SHOP_TOKEN", true},
		"another pack does not see it":                           {"demo", "SHOP_TOKEN", false},
		"a longer name is another variable":                      {"shop", "SHOP_TOKEN_OLD", false},
		"a shorter name is another variable":                     {"shop", "SHOP_TOKE", false},
		"a pattern allows what begins so":                        {"demo", "PROXY_HOST", true},
		"a pattern allows its own beginning":                     {"demo", "PROXY_", true},
		"a pattern does not allow another beginning":             {"demo", "HTTP_PROXY_HOST", false},
		"a star allows every variable":                           {"ops", "ANYTHING", true},
		"a common variable needs no grant":                       {"demo", "HOME", true},
		"what no grant names is refused, however harmless it is": {"demo", "EDITOR", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, grants.Allow(test.pack, test.variable))
		})
	}

	t.Run("no grants allow the common variables only", func(t *testing.T) {
		t.Parallel()
		pack := attune.Pack{Name: "shop", Actions: []attune.Action{
			{Ref: "shop.pay", Env: []string{"PATH", "SHOP_TOKEN", "EDITOR"}}, {Ref: "shop.look", Env: []string{"TZ"}},
		}}
		missing := attune.EnvGrants(nil).Missing(pack)
		require.Equal(t, []attune.MissingEnv{{"shop.pay", "SHOP_TOKEN"}, {"shop.pay", "EDITOR"}}, missing)
		require.Equal(t, "shop=EDITOR", missing[1].Grant().String())
		require.Equal(t, missing[1:], grants.Missing(pack))
	})
}
