package promptresolver

import (
	"net"
	"testing"

	"google.golang.org/grpc"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

// connect returns a client of a service that is served until the test ends.
func connect(t *testing.T, service pb.PromptResolverServer, options ...Option) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessageBytes))
	pb.RegisterPromptResolverServer(server, service)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	client, err := New(listener.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}
