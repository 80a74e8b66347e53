package main

import (
	"encoding/json"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	promptresolver "promptresolver.dev/clients/go"
)

// answer is a line of the output; what a command does not answer is left out.
type answer struct {
	OK       bool              `json:"ok"`
	Error    *failure          `json:"error,omitempty"`
	Response json.RawMessage   `json:"response,omitempty"`
	Events   []json.RawMessage `json:"events,omitempty"`
	*tally
}

// failure is what an error says.
type failure struct {
	Code         string            `json:"code"`
	Message      string            `json:"message"`
	Reason       string            `json:"reason"`
	Domain       string            `json:"domain"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	Violations   []violation       `json:"violations,omitempty"`
	RetryAfterMS *int64            `json:"retry_after_ms"`
}

type violation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
}

func responded(response proto.Message, err error) *answer {
	if err != nil {
		return failed(err)
	}
	return &answer{OK: true, Response: encode(response)}
}

func failed(err error) *answer {
	answer := &answer{}
	answer.fail(err)
	return answer
}

func (a *answer) fail(err error) {
	a.OK, a.Error = false, describe(err)
}

func (a *answer) add(event proto.Message) {
	a.Events = append(a.Events, encode(event))
}

func describe(err error) *failure {
	var known *promptresolver.Error
	if !errors.As(err, &known) {
		// What is called past the client, and what the driver itself has left.
		other := status.FromContextError(err)
		if plain, ok := status.FromError(err); ok {
			other = plain
		}
		known = &promptresolver.Error{Code: other.Code(), Message: other.Message()}
	}
	described := &failure{
		Code:     code.Code(known.Code).String(),
		Message:  known.Message,
		Reason:   known.Reason,
		Domain:   known.Domain,
		Metadata: known.Metadata,
	}
	for _, each := range known.Violations {
		described.Violations = append(described.Violations,
			violation{Field: each.GetField(), Description: each.GetDescription()})
	}
	if known.RetryAfter > 0 {
		pause := known.RetryAfter.Milliseconds()
		described.RetryAfterMS = &pause
	}
	return described
}

func encode(message proto.Message) json.RawMessage {
	data, err := protojson.Marshal(message)
	if err != nil {
		fail(err)
	}
	return data
}
