package promptresolver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

var unsendable = []string{"sk-secret\n", "sk-secret\r\nx: y", "sk-sécret", "sk-secret\x00"}

// open notes the tokens that it is called with.
type open struct {
	pb.UnimplementedPromptResolverServer
	tokens []string
}

func (o *open) Resolve(ctx context.Context, _ *pb.ResolveRequest) (*pb.ResolveResponse, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	o.tokens = append(o.tokens, headers.Get("authorization")...)
	return &pb.ResolveResponse{}, nil
}

// A key with a character that cannot be sent is refused by its header's name, and not shown.
func TestUnsendableKeys(t *testing.T) {
	client := connect(t, &open{})
	const want = "expected printable ASCII as the value of x-provider-key-fake"
	for _, key := range unsendable {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "x-provider-key-fake", key)
		_, failed := client.Resolve(ctx, &pb.ResolveRequest{})
		failures := []error{failed}
		for _, err := range client.CompleteStream(ctx, &pb.CompleteStreamRequest{}) {
			failures = append(failures, err)
		}
		for _, err := range client.Watch(ctx, &pb.WatchPromptsRequest{}) {
			failures = append(failures, err)
		}

		for _, err := range failures {
			var failure *Error
			if !errors.As(err, &failure) || failure.Code != codes.InvalidArgument || failure.Message != want {
				t.Errorf("%q ended with %v", key, err)
			}
		}
	}
}

// A token that cannot be sent is refused, and not shown.
func TestUnsendableTokens(t *testing.T) {
	for _, value := range unsendable {
		if _, err := New("", WithToken(value)); err == nil || strings.Contains(err.Error(), "cret") {
			t.Errorf("%q ended with %v", value, err)
		}
	}
}

// While a file has no token that can be sent, the last one stays.
func TestUnsendableTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		// As another file, as it is the time of a change that may be too coarse.
		next := file + ".next"
		if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, file)); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	server := &open{}
	client := connect(t, server, WithTokenFile(file))

	for _, text := range []string{"first\n", "two\nlines\n", "sécret", "second\n"} {
		write(text)
		if _, err := client.Resolve(context.Background(), &pb.ResolveRequest{}); err != nil {
			t.Fatal(err)
		}
	}

	want := []string{"Bearer first", "Bearer first", "Bearer first", "Bearer second"}
	if !slices.Equal(server.tokens, want) {
		t.Errorf("the tokens were %q", server.tokens)
	}
}

// A page's address is refused, and its password is not shown.
func TestURL(t *testing.T) {
	for _, address := range []string{"http://x:secret@127.0.0.1:50051", "HTTPS://x:secret@resolver.example"} {
		if _, err := New(address); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s ended with %v", address, err)
		}
	}
}
