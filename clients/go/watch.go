package promptresolver

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// Watch yields how prompts are, and what happens to them, until its context ends or the loop is left.
// Without prompts in the request, those are watched that the server holds.
//
// Where the connection breaks or the server restarts, the watch goes on after the last event; if the
// server does not know that one any more, a snapshot comes again. What would fail again is yielded as
// an error, and ends the watch.
func (c *Client) Watch(
	ctx context.Context, request *pb.WatchPromptsRequest,
) iter.Seq2[*pb.WatchPromptsResponse, error] {
	return func(yield func(*pb.WatchPromptsResponse, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		resumed := &pb.WatchPromptsRequest{}
		proto.Merge(resumed, request)
		pause := firstPause
		for {
			stream, err := c.stub.WatchPrompts(ctx, resumed)
			for err == nil {
				var event *pb.WatchPromptsResponse
				if event, err = stream.Recv(); err != nil {
					break
				}
				resumed.AfterRevision = proto.Uint64(event.GetRevision())
				pause = firstPause
				if !yield(event, nil) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				err = status.Error(codes.Unavailable, "the server has ended the watch")
			}
			failure := newError(err)
			if !failure.passes() {
				yield(nil, failure)
				return
			}
			// At a random time, so that not all whose server restarts come back at once.
			timer := time.NewTimer(max(failure.RetryAfter, rand.N(pause)))
			pause = min(2*pause, longestPause)
			select {
			case <-timer.C:
			case <-c.closed.Done():
				timer.Stop()
				yield(nil, newError(status.Error(codes.Canceled, "the client is closed")))
				return
			case <-ctx.Done():
				timer.Stop()
				yield(nil, newError(status.FromContextError(ctx.Err()).Err()))
				return
			}
		}
	}
}

// passes tells whether a watch that failed may go on later.
func (e *Error) passes() bool {
	return e.Code == codes.Unavailable || e.Code == codes.ResourceExhausted && e.Reason == "OVERLOADED"
}
