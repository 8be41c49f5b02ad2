package rabbitmq

// User is a user of the broker with the rights that a part of attune needs, and no others. Its rights are regular expressions over
// the names of exchanges and queues of attune's vhost, as in rabbitmqctl set_permissions.
type User struct {
	Name      string
	Configure string
	Write     string
	Read      string
	Topics    []TopicRights
}

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
	UserWorker       = "attune-worker"
	UserObserver     = "attune-observer" // of a process with the role api only
)

const (
	noName     = "^$"
	ours       = `^attune(\..*)?$`
	poolQueues = `attune\.execution\.requested\..*`
	ownQueues  = `amq\.gen-.*` // the queues that the broker names, such as that of a [Subscriber]
)

// Users returns the users of the parts of attune.
//
// Only a worker can publish claims, renewals and reports, and it can publish nothing else: not to a queue directly, because it may
// not write to the default exchange. A worker of one pool can read the requests of another one.
func Users() []User {
	return []User{
		{
			Name: UserBridge, Configure: ours, Read: ours,
			Write: `^(attune(\..*)?|amq\.default)$`, // the default exchange: replies, retry queues
			Topics: []TopicRights{
				{Exchange, `^(enforcement\.created|execution\.(ended|cancel|requested\..*))$`, `^.*$`},
				{DeadExchange, `^.*$`, `^.*$`},
			},
		},
		{
			Name: UserOrchestrator, Configure: `^(attune|attune\.dead|` + poolQueues + `)$`,
			Write: `^(attune|attune\.dead|` + poolQueues + `)$`, Read: `^(attune|attune\.dead|` + poolQueues + `)$`,
			Topics: []TopicRights{{Exchange, `^execution\.requested\..*$`, `^execution\.requested\..*$`}, {DeadExchange, noName, `^#$`}},
		},
		{
			Name: UserWorker, Configure: `^` + ownQueues + `$`,
			Write: `^(attune|` + ownQueues + `)$`, Read: `^(attune|` + poolQueues + `|` + ownQueues + `)$`,
			Topics: []TopicRights{
				{Exchange, `^execution\.(claim|renew|completed)$`, `^execution\.cancel$`}, {DeadExchange, noName, noName},
			},
		},
		{
			Name: UserObserver, Configure: noName, Write: noName, Read: `^attune\.dead$`,
			Topics: []TopicRights{{Exchange, noName, noName}, {DeadExchange, noName, noName}},
		},
	}
}
