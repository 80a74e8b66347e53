package promptresolver

import (
	"context"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

// later has watches come again in an hour.
type later struct {
	pb.UnimplementedPromptResolverServer
}

func (later) WatchPrompts(
	*pb.WatchPromptsRequest, grpc.ServerStreamingServer[pb.WatchPromptsResponse],
) error {
	refusal, err := status.New(codes.Unavailable, "later").WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Hour)})
	if err != nil {
		return err
	}
	return refusal.Err()
}

// ends tells of each call that it has ended, also for its caller.
type ends chan struct{}

func (ends) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (ends) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (ends) HandleConn(context.Context, stats.ConnStats)                       {}
func (e ends) HandleRPC(_ context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.End); ok {
		e <- struct{}{}
	}
}

// A watch that is to try again later ends at once with its client.
func TestClosedWatch(t *testing.T) {
	refused := make(ends, 1)
	client := connect(t, later{}, WithDialOptions(grpc.WithStatsHandler(refused)))
	failed := make(chan error, 1)
	go func() {
		for _, err := range client.Watch(context.Background(), &pb.WatchPromptsRequest{}) {
			failed <- err
		}
	}()
	<-refused
	client.Close()

	select {
	case err := <-failed:
		if status.Code(err) != codes.Canceled {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}
