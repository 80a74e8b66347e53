// Package promptresolver calls prompt-resolver: prompts by id, rendered or answered.
//
//	client, err := promptresolver.New("")
//	...
//	answer, err := client.Complete(ctx, &pb.CompleteRequest{Prompt: &pb.PromptRef{Id: "support/reply"}})
//
// The requests and responses are the contract's own, of the package promptresolverv1. Every call
// fails with an *[Error]. Metadata of a call, such as x-request-id or x-provider-key-openai, goes into
// its context, by metadata.AppendToOutgoingContext of google.golang.org/grpc/metadata.
package promptresolver

//go:generate buf generate

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

// How long calls may take whose context has no deadline. A watch has none.
const (
	ResolveTimeout  = 10 * time.Second
	CompleteTimeout = 120 * time.Second
)

const defaultAddress = "127.0.0.1:50051"

// Client calls one server, or all that a name stands for. It is safe for concurrent use.
type Client struct {
	conn   *grpc.ClientConn
	stub   pb.PromptResolverClient
	closed context.Context
	end    context.CancelFunc
}

// New returns a client of the server at an address: "HOST:PORT", "unix:/path", or "dns:///NAME:PORT"
// to spread calls over all addresses of a name. Without an address it is PROMPT_RESOLVER_ADDRESS,
// else 127.0.0.1:50051.
//
// It connects with the first call. Calls wait, for as long as they may take, for a server that cannot
// be reached, so that one that is restarted costs time and no call. New fails for a page's address, and
// where a token, or a file that an option names, cannot be used.
func New(address string, options ...Option) (*Client, error) {
	settings := settings{dial: defaultDialOptions()}
	for _, option := range options {
		if err := option(&settings); err != nil {
			return nil, err
		}
	}
	address = cmp.Or(address, os.Getenv("PROMPT_RESOLVER_ADDRESS"), defaultAddress)
	if isURL(address) {
		return nil, errors.New("promptresolver: expected HOST:PORT as the address, without http://")
	}
	conn, err := grpc.NewClient(address, settings.dialOptions()...)
	if err != nil {
		return nil, err
	}
	closed, end := context.WithCancel(context.Background())
	return &Client{conn: conn, stub: pb.NewPromptResolverClient(conn), closed: closed, end: end}, nil
}

// Resolve returns a rendered prompt. It is tried again, up to three times, where the server cannot
// answer for the moment.
func (c *Client) Resolve(ctx context.Context, request *pb.ResolveRequest) (*pb.ResolveResponse, error) {
	ctx, cancel := withDeadline(ctx, ResolveTimeout)
	defer cancel()
	response, err := c.stub.Resolve(ctx, request)
	return response, toError(err)
}

// Complete returns a model's whole answer to a prompt. It is never tried again once the server has
// begun, as each answer may cost tokens.
func (c *Client) Complete(ctx context.Context, request *pb.CompleteRequest) (*pb.CompleteResponse, error) {
	ctx, cancel := withDeadline(ctx, CompleteTimeout)
	defer cancel()
	response, err := c.stub.Complete(ctx, request)
	return response, toError(err)
}

// CompleteStream yields a model's answer as it arrives, or the error that ends it.
//
// The answer is whole once finished has come; a stream that ends without it yields an error with the
// reason [StreamIncomplete]. Leaving the loop early cancels the call, and with it the model's work.
//
// The call is made once the stream is ranged over. That may be done once, as each answer may cost
// tokens: a second loop gets an error with the code FailedPrecondition.
func (c *Client) CompleteStream(
	ctx context.Context, request *pb.CompleteStreamRequest,
) iter.Seq2[*pb.CompleteStreamResponse, error] {
	var ranged atomic.Bool
	return func(yield func(*pb.CompleteStreamResponse, error) bool) {
		if ranged.Swap(true) {
			yield(nil, rangedTwice())
			return
		}
		ctx, cancel := withDeadline(ctx, CompleteTimeout)
		defer cancel()
		stream, err := c.stub.CompleteStream(ctx, request)
		if err != nil {
			yield(nil, toError(err))
			return
		}
		finished := false
		for {
			event, err := stream.Recv()
			switch {
			case errors.Is(err, io.EOF):
				if !finished {
					yield(nil, incomplete())
				}
				return
			case err != nil:
				yield(nil, toError(err))
				return
			}
			finished = finished || event.GetFinished() != nil
			if !yield(event, nil) {
				return
			}
		}
	}
}

// Conn returns the connection, for other services of the server, such as its health.
func (c *Client) Conn() *grpc.ClientConn {
	return c.conn
}

// Close ends the connection, and the calls that run on it, watches too.
func (c *Client) Close() error {
	c.end()
	return c.conn.Close()
}

// isURL tells of a page's address, which gRPC takes for a name, and has calls wait for.
func isURL(address string) bool {
	scheme, _, found := strings.Cut(address, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// withDeadline gives a context a deadline, unless it has one.
func withDeadline(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}
