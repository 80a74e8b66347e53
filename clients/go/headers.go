package promptresolver

import (
	"context"
	"regexp"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var headerName = regexp.MustCompile(`^[0-9a-z_.-]+$`)

// checkHeaders refuses a call whose metadata cannot be sent, for which gRPC blames itself. A value may
// be a key, and is not shown.
func checkHeaders(ctx context.Context) error {
	headers, _ := metadata.FromOutgoingContext(ctx)
	for name, values := range headers {
		if !headerName.MatchString(name) {
			return status.Errorf(codes.InvalidArgument, "expected the name of a header, got %q", name)
		}
		for _, value := range values {
			if !strings.HasSuffix(name, "-bin") && !isPrintable(value) {
				return status.Errorf(codes.InvalidArgument, "expected printable ASCII as the value of %s", name)
			}
		}
	}
	return nil
}

// isPrintable tells whether a value may travel in a header.
func isPrintable(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

func checkUnary(
	ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
	call grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if err := checkHeaders(ctx); err != nil {
		return err
	}
	return call(ctx, method, request, response, conn, options...)
}

func checkStream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	call grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if err := checkHeaders(ctx); err != nil {
		return nil, err
	}
	return call(ctx, desc, conn, method, options...)
}
