package promptresolver

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// An error is found by what Go has for it, also where it is wrapped.
func TestErrorIs(t *testing.T) {
	late := fmt.Errorf("wrapped: %w", toError(status.Error(codes.DeadlineExceeded, "late")))
	left := toError(status.Error(codes.Canceled, "left"))
	if !errors.Is(late, context.DeadlineExceeded) || errors.Is(late, context.Canceled) {
		t.Errorf("%v is not a deadline's", late)
	}
	if !errors.Is(left, context.Canceled) || errors.Is(left, context.DeadlineExceeded) {
		t.Errorf("%v is not a cancellation", left)
	}
}

// An error has a status, also one that a program has made for its own tests.
func TestErrorStatus(t *testing.T) {
	for _, err := range []error{
		&Error{Code: codes.NotFound, Message: "no such prompt"},
		toError(status.Error(codes.NotFound, "no such prompt")),
	} {
		if told := status.Convert(err); told.Code() != codes.NotFound || told.Message() != "no such prompt" {
			t.Errorf("%v has the status %v", err, told)
		}
	}
}
