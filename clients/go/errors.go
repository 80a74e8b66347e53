package promptresolver

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// StreamIncomplete is the reason of a stream that ended well but without finished: what came is a
// part of an answer, and none. The server does not give it.
const StreamIncomplete = "STREAM_INCOMPLETE"

// Error is what a failed call returns; errors.As finds it.
type Error struct {
	// Code is the gRPC status.
	Code codes.Code
	// Message is for people, and may change.
	Message string
	// Reason is a value of the contract's ErrorReason without its prefix, such as VARIABLES_INVALID,
	// or StreamIncomplete. It is empty where the status comes from gRPC itself.
	Reason string
	// Domain is prompt-resolver where there is a reason.
	Domain string
	// Metadata has the particulars that the contract documents for the reason.
	Metadata map[string]string
	// Violations has the fields of the request that are at fault.
	Violations []*errdetails.BadRequest_FieldViolation
	// RetryAfter is how long to wait before calling again; zero where that is not known.
	RetryAfter time.Duration

	status *status.Status
}

// Error returns the reason, or the code, and the message.
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("prompt-resolver: %s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("prompt-resolver: %s: %s", e.Reason, e.Message)
}

// Is has errors.Is find context.Canceled and context.DeadlineExceeded, by the code.
func (e *Error) Is(target error) bool {
	switch target {
	case context.Canceled:
		return e.Code == codes.Canceled
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	}
	return false
}

// GRPCStatus returns the status, for those who ask for it by status.FromError.
func (e *Error) GRPCStatus() *status.Status {
	if e.status == nil {
		return status.New(e.Code, e.Message)
	}
	return e.status
}

// toError returns what a gRPC error says, as ours; nil for none.
func toError(err error) error {
	if err == nil {
		return nil
	}
	return newError(err)
}

func newError(err error) *Error {
	failure := status.Convert(err)
	e := &Error{Code: failure.Code(), Message: failure.Message(), status: failure}
	for _, detail := range failure.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Domain, e.Metadata = detail.GetReason(), detail.GetDomain(), detail.GetMetadata()
		case *errdetails.BadRequest:
			e.Violations = detail.GetFieldViolations()
		case *errdetails.RetryInfo:
			e.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return e
}

func rangedTwice() *Error {
	return &Error{
		Code:    codes.FailedPrecondition,
		Message: "the stream was ranged over before: call CompleteStream again for another answer",
	}
}

func incomplete() *Error {
	return &Error{
		Code:    codes.Internal,
		Message: "the stream ended without `finished`",
		Reason:  StreamIncomplete,
		Domain:  "prompt-resolver",
	}
}
