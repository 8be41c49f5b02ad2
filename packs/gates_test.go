package packs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestLoad_Gates(t *testing.T) {
	t.Parallel()
	t.Run("rates and quotas of a pack and of an action are read", func(t *testing.T) {
		t.Parallel()
		dir := keyPack(t, "policy:\n  rate:\n    - {name: all, limit: 100, window: 1m}\n", `policy:
  rate:
    - {name: tenants, limit: 5, window: 90s, method: reject, key: " parameters.tenant ", cost: "size(payload.user)"}
    - {name: slow, limit: 2, window: 1h, method: delay}
  quota:
    - {name: daily, limit: 0, period: day, timezone: Europe/Berlin, cost: 3}
`)
		pack, err := load(t, dir)
		require.NoError(t, err)
		minute := attune.Duration(time.Minute)
		require.Equal(t, &attune.Policy{Rate: []attune.Rate{{Name: "all", Limit: 100, Window: minute}}}, pack.Policy)
		action := pack.Actions[1]
		require.Equal(t, &attune.Policy{
			Rate: []attune.Rate{
				{Name: "tenants", Limit: 5, Window: 3 * minute / 2, Method: attune.RateReject, Key: "parameters.tenant", Cost: "size(payload.user)"},
				{Name: "slow", Limit: 2, Window: 60 * minute, Method: attune.RateDelay},
			},
			Quota: []attune.Quota{{Name: "daily", Period: attune.PeriodDay, Timezone: "Europe/Berlin", Cost: "3"}},
		}, action.Policy)
		require.Empty(t, action.Gates, "only the policy in force says which gates apply")
	})

	t.Run("an empty list stays", func(t *testing.T) {
		t.Parallel()
		pack, err := load(t, keyPack(t, "policy: {limit: 1, quota: []}\n", ""))
		require.NoError(t, err)
		require.NotNil(t, pack.Policy.Quota)
		require.Nil(t, pack.Policy.Rate)
	})
}

func TestLoad_GateProblems(t *testing.T) {
	t.Parallel()
	const advice = ", which is a secret field or has one inside: people see the value of a key, so it can only test whether a secret field exists"
	for name, tt := range map[string]struct {
		pack, action string
		want         []string
	}{
		"fields are missing": {"policy:\n  rate:\n    - {}\n", "", []string{
			`P/pack.yaml:4:7: rate[0].name: rate name "": use lower-case letters, digits, '_' or '-', starting with a letter`,
			`P/pack.yaml:4:7: rate[0].limit: 0: use 1 to 1000000`, `P/pack.yaml:4:7: rate[0].window: 0s: use 1ms to 24h0m0s`}},
		"values are not allowed": {"", "policy:\n  rate:\n    - name: a\n      limit: -1\n      window: 0s\n      method: drop\n" +
			"  quota:\n    - {name: a, limit: 1, period: year, timezone: Mars/Base}\n", []string{
			`P/actions/use.yaml:10:14: rate[0].limit: -1: use 1 to 1000000`,
			`P/actions/use.yaml:11:15: rate[0].window: 0s: use 1ms to 24h0m0s`,
			`P/actions/use.yaml:12:15: rate[0].method: "drop": use "reject" or "delay"`,
			`P/actions/use.yaml:14:14: quota[0].name: "a" is taken by rate[0]: rates and quotas of a document need different names`,
			`P/actions/use.yaml:14:35: quota[0].period: "year": use "hour", "day", "week" or "month"`,
			`P/actions/use.yaml:14:51: quota[0].timezone: there is no time zone "Mars/Base": use a name such as "Europe/Berlin" or "UTC"`}},
		"values are of another kind": {"policy:\n  rate: 5\n  quota: [{name: 1, limit: many, period: day, cost: true}]\n", "policy:\n  rate: [x, {name: b, limit: 1.5, window: soon}]\n", []string{
			`P/actions/use.yaml:8:10: rate[0]: got text, want a mapping`,
			`P/actions/use.yaml:8:30: limit: 1.5 is not a whole number`,
			`P/actions/use.yaml:8:43: window: duration "soon": use a number with a unit, such as 30s, 5m or 1h30m`,
			`P/pack.yaml:3:9: rate: got a number, want a list`,
			`P/pack.yaml:4:18: name: got a number, want text: put it in quotes`,
			`P/pack.yaml:4:28: limit: got text, want a number`,
			`P/pack.yaml:4:53: cost: got a boolean, want text: put it in quotes`}},
		"a pack delays": {"policy:\n  rate: [{name: a, limit: 1, window: 1s, method: delay}]\n", "", []string{
			`P/pack.yaml:3:50: rate[0].method: a rate of scope pack cannot delay, because its queues do not know each other's starts: ` +
				`use "reject", or delay in the policy of an action or a queue`}},
		"a rate that delays has a key": {"", "policy:\n  rate: [{name: a, limit: 1, window: 1s, method: delay, key: parameters.tenant}]\n", []string{
			`P/actions/use.yaml:8:62: rate[0].key: a rate that delays has no key: use limit_per_key, or the method "reject"`}},
		"an unknown field": {"policy:\n  quota: [{name: a, limit: 1, period: day, window: 1s}]\n", "", []string{
			`P/pack.yaml:3:44: quota[0]: unknown key "window": use name, limit, period, timezone, key, cost`}},
		"expressions are wrong": {"", "policy:\n  rate:\n    - {name: a, limit: 1, window: 1s, key: \"[1]\", cost: \"'x'\"}\n", []string{
			`P/actions/use.yaml:9:45: key: yields list(int), want a text, a number, a boolean or null`,
			`P/actions/use.yaml:9:58: cost: yields string, want int`}},
		"secrets are read": {"policy:\n  rate: [{name: a, limit: 1, window: 1s, key: payload.password}]\n",
			"policy:\n  quota: [{name: b, limit: 1, period: day, cost: size(parameters.token)}]\n", []string{
				`P/actions/use.yaml:8:55: cost, for action "a.use": reads /token of the parameters` + advice,
				`P/pack.yaml:3:47: key, for action "a.use" and trigger "a.login": reads /password of the payload` + advice}},
		"a key of an action does not hide a rate of its pack": {"policy:\n  rate: [{name: a, limit: 1, window: 1s, key: payload.password}]\n",
			"policy: {key: parameters.tenant}\n", []string{
				`P/pack.yaml:3:47: key, for action "a.use" and trigger "a.login": reads /password of the payload` + advice}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := keyPack(t, tt.pack, tt.action)
			pack, err := load(t, dir)
			require.Nil(t, pack)
			requireProblems(t, err, map[string]string{"P": dir}, tt.want...)
		})
	}
}
