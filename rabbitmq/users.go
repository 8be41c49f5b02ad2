package rabbitmq

import (
	"regexp"
	"slices"
	"strings"

	"github.com/attune-go/attune"
)

// User is a user of the broker with the rights that a part of attune needs, and no others. Its rights are regular expressions over
// the names of exchanges and queues of attune's vhost, as in rabbitmqctl set_permissions.
type User struct {
	Name      string
	Configure string
	Write     string
	Read      string
	Topics    []TopicRights
	Limits    UserLimits
}

// UserLimits bounds what a user may open at the same time. Zero is no bound.
type UserLimits struct{ Connections, Channels int }

// TopicRights bounds the routing keys with which a user publishes to a topic exchange, and binds its queues to it. They are regular
// expressions, as in rabbitmqctl set_topic_permissions.
type TopicRights struct {
	Exchange string
	Write    string
	Read     string
}

// The users of the parts of attune.
const (
	UserBridge       = "attune-bridge" // also of a process with all roles
	UserOrchestrator = "attune-orchestrator"
	UserWorker       = "attune-worker"   // of workers of every pool: see [WorkerUser]
	UserObserver     = "attune-observer" // of a process with the role api only
)

const (
	// The limits of a user of workers: a worker process has two connections, and at most about 20 channels.
	workerConnections = 500
	workerChannels    = 5000

	noName     = "^$"
	ours       = `^attune(\..*)?$`
	everyPool  = `[^.]+` // a pool has no dot in its name
	poolQueues = `attune\.execution\.requested\.` + everyPool
	ownQueues  = `amq\.gen-.*` // the queues that the broker names, such as that of a [Subscriber]
)

// Users returns the users of the parts of attune.
//
// Only a worker can publish claims, renewals and reports, and it can publish nothing else: not to a queue directly, because it may
// not write to the default exchange. It reads only from an exchange that it cannot write to, so it cannot pass messages to itself and on
// through a queue of its own. The worker of [UserWorker] serves every pool: [WorkerUser] makes one that is bound to its pools.
func Users() []User {
	return []User{
		{
			Name: UserBridge, Configure: ours, Read: ours,
			Write: `^(attune(\..*)?|amq\.default)$`, // the default exchange: replies, retry queues
			Topics: []TopicRights{
				{Exchange, `^(enforcement\.created|execution\.(ended|cancel|requested\..*))$`, `^.*$`},
				{WorkersExchange, noName, `^.*$`},
				{DeadExchange, `^.*$`, `^.*$`},
			},
		},
		{
			Name: UserOrchestrator, Configure: `^(attune|attune\.dead|` + poolQueues + `)$`,
			Write: `^(attune|attune\.dead|` + poolQueues + `)$`, Read: `^(attune|attune\.dead|` + poolQueues + `)$`,
			Topics: []TopicRights{{Exchange, `^execution\.requested\..*$`, `^execution\.requested\..*$`}, {DeadExchange, noName, `^#$`}},
		},
		workerUser(UserWorker, everyPool),
		{
			Name: UserObserver, Configure: noName, Write: noName, Read: `^attune\.dead$`,
			Topics: []TopicRights{{Exchange, noName, noName}, {DeadExchange, noName, noName}},
		},
	}
}

// WorkerUser returns a user for the workers of some pools. It can take requests from the queues of these pools only, and publish claims,
// renewals and reports for these pools only, so it gets no parameters and no secrets of another pool and cannot delete its requests. A
// name or a pool that is not valid, or no pool, is [attune.CodeInvalid].
func WorkerUser(name string, pools ...string) (User, error) {
	if len(pools) == 0 {
		return User{}, attune.Errorf(attune.CodeInvalid, "user %q of the broker has no pool: name one or more", name)
	}
	quoted := make([]string, len(pools))
	for i, pool := range pools {
		if err := attune.ValidateName("pool", pool); err != nil {
			return User{}, err
		}
		quoted[i] = regexp.QuoteMeta(pool)
	}
	if err := attune.ValidateName("user", name); err != nil {
		return User{}, err
	}
	slices.Sort(quoted)
	return workerUser(name, `(`+strings.Join(slices.Compact(quoted), `|`)+`)`), nil
}

// workerUser returns a user for the workers of the pools that a regular expression matches.
func workerUser(name, pools string) User {
	return User{
		Name: name, Configure: `^` + ownQueues + `$`,
		Write: `^(attune\.workers|` + ownQueues + `)$`,
		Read:  `^(attune|attune\.execution\.requested\.` + pools + `|` + ownQueues + `)$`,
		Topics: []TopicRights{
			{Exchange, noName, `^execution\.cancel$`},
			{WorkersExchange, `^execution\.(claim|renew|completed)\.` + pools + `$`, noName},
			{DeadExchange, noName, noName},
		},
		Limits: UserLimits{Connections: workerConnections, Channels: workerChannels},
	}
}
