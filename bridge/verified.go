package bridge

import (
	"context"
	"errors"

	"github.com/attune-go/attune"
)

// linesPerSecond bounds the log lines about messages that change nothing: workers can send any number of them. The metrics count each.
const linesPerSecond = 20

// Refused is called for each refused message of a worker, with its routing key without the pool.
type Refused func(ctx context.Context, key string, why attune.Refusal)

// verified is a batch of verified messages. messages[i] is empty if bad[i] says why the message was refused.
type verified[M any] struct {
	messages []M
	bad      map[int]error
}

// verify checks a batch of signed messages and counts the refused ones.
func verify[M attune.WorkerMessage[M]](ctx context.Context, batch []attune.Signed[M], refused Refused) verified[M] {
	v := verified[M]{messages: make([]M, len(batch)), bad: map[int]error{}}
	for i, signed := range batch {
		message, err := attune.Verify(signed)
		if err == nil {
			v.messages[i] = message
			continue
		}
		v.refuse(i, err)
		if refusal, ok := errors.AsType[*attune.RefusalError](err); ok {
			refused(ctx, signed.BaseKey(), refusal.Why)
		}
	}
	return v
}

func (v verified[M]) refuse(i int, err error) { v.bad[i] = err }

// good returns the messages that were not refused, with their places in the batch.
func (v verified[M]) good() (messages []M, places []int) {
	for i, message := range v.messages {
		if v.bad[i] == nil {
			messages, places = append(messages, message), append(places, i)
		}
	}
	return messages, places
}

// err returns an [attune.BatchError] with the refused messages, or nil if there are none.
func (v verified[M]) err() error {
	if len(v.bad) == 0 {
		return nil
	}
	return &attune.BatchError{Refused: v.bad}
}
