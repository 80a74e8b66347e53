package promptresolver

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

// busy has no time for anybody.
type busy struct {
	pb.UnimplementedPromptResolverServer
	calls atomic.Int32
}

func (b *busy) Resolve(context.Context, *pb.ResolveRequest) (*pb.ResolveResponse, error) {
	b.calls.Add(1)
	return nil, status.Error(codes.Unavailable, "busy")
}

// A Resolve is tried three times where the server is busy, however large it is.
func TestRetriedSizes(t *testing.T) {
	for _, size := range []int{10, 1 << 20, 16 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			server := &busy{}
			client := connect(t, server)
			text := structpb.NewStringValue(strings.Repeat("x", size))
			variables := &structpb.Struct{Fields: map[string]*structpb.Value{"text": text}}

			_, err := client.Resolve(context.Background(), &pb.ResolveRequest{Variables: variables})

			if status.Code(err) != codes.Unavailable {
				t.Errorf("it ended with %v", err)
			}
			if calls := server.calls.Load(); calls != 3 {
				t.Errorf("it was tried %d times", calls)
			}
		})
	}
}
