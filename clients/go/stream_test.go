package promptresolver

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

// paid answers with nothing, and counts how often.
type paid struct {
	pb.UnimplementedPromptResolverServer
	answers atomic.Int32
}

func (p *paid) CompleteStream(
	_ *pb.CompleteStreamRequest, stream grpc.ServerStreamingServer[pb.CompleteStreamResponse],
) error {
	p.answers.Add(1)
	return stream.Send(&pb.CompleteStreamResponse{
		Event: &pb.CompleteStreamResponse_Finished{Finished: &pb.Finished{}},
	})
}

// A stream that is ranged over twice is paid once, and the second loop is told so, also where the
// first one was left.
func TestStreamOnce(t *testing.T) {
	for _, leave := range []bool{false, true} {
		server := &paid{}
		stream := connect(t, server).CompleteStream(context.Background(), &pb.CompleteStreamRequest{})
		for _, err := range stream {
			if err != nil {
				t.Fatal(err)
			}
			if leave {
				break
			}
		}

		var again []error
		for _, err := range stream {
			again = append(again, err)
		}

		var failure *Error
		if len(again) != 1 || !errors.As(again[0], &failure) || failure.Code != codes.FailedPrecondition {
			t.Errorf("the second loop got %v", again)
		}
		if answers := server.answers.Load(); answers != 1 {
			t.Errorf("%d answers were paid", answers)
		}
	}
}
