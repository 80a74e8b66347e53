package main

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	promptresolver "promptresolver.dev/clients/go"
	pb "promptresolver.dev/clients/go/promptresolverv1"
)

var nothing = &emptypb.Empty{}

// command is a line of the input; what a command does not use is not there.
type command struct {
	Op string `json:"op"`

	Address   string `json:"address"`
	Token     string `json:"token"`
	TokenFile string `json:"token_file"`
	TLS       *struct {
		CA         string `json:"ca_file"`
		Cert       string `json:"cert_file"`
		Key        string `json:"key_file"`
		ServerName string `json:"server_name"`
	} `json:"tls"`

	Prompt      string            `json:"prompt"`
	Version     string            `json:"version"`
	Environment string            `json:"environment"`
	Store       *string           `json:"store"`
	Alias       *string           `json:"alias"`
	Model       *string           `json:"model"`
	Variables   json.RawMessage   `json:"variables"`
	TimeoutMS   *int              `json:"timeout_ms"`
	Metadata    map[string]string `json:"metadata"`

	CancelAfterMS       *int     `json:"cancel_after_ms"`
	CancelAfterMessages int      `json:"cancel_after_messages"`
	Prompts             []string `json:"prompts"`
	Messages            int      `json:"messages"`
	Method              string   `json:"method"`
	Concurrency         int      `json:"concurrency"`
}

// options returns what the command says of a client beside the address.
func (c *command) options() []promptresolver.Option {
	var options []promptresolver.Option
	if c.Token != "" {
		options = append(options, promptresolver.WithToken(c.Token))
	}
	if c.TokenFile != "" {
		options = append(options, promptresolver.WithTokenFile(c.TokenFile))
	}
	if c.TLS != nil {
		options = append(options, promptresolver.WithTLS(promptresolver.TLSFiles(*c.TLS)))
	}
	return options
}

// context returns the context of a call: its metadata, its deadline, and when it is cancelled.
func (c *command) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	for name, value := range c.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	if c.CancelAfterMS != nil {
		time.AfterFunc(milliseconds(*c.CancelAfterMS), cancel)
	}
	if c.TimeoutMS == nil {
		return ctx, cancel
	}
	ctx, end := context.WithTimeout(ctx, milliseconds(*c.TimeoutMS))
	return ctx, func() { end(); cancel() }
}

func (c *command) resolveRequest() *pb.ResolveRequest {
	return &pb.ResolveRequest{
		Prompt: c.ref(), Variables: c.variables(), Model: c.Model, Alias: c.Alias,
	}
}

func (c *command) completeRequest() *pb.CompleteRequest {
	return &pb.CompleteRequest{
		Prompt: c.ref(), Variables: c.variables(), Model: c.Model, Alias: c.Alias,
	}
}

func (c *command) streamRequest() *pb.CompleteStreamRequest {
	return &pb.CompleteStreamRequest{
		Prompt: c.ref(), Variables: c.variables(), Model: c.Model, Alias: c.Alias,
	}
}

func (c *command) watchRequest() *pb.WatchPromptsRequest {
	request := &pb.WatchPromptsRequest{}
	for _, id := range c.Prompts {
		request.Prompts = append(request.Prompts, &pb.PromptRef{Id: id})
	}
	return request
}

func (c *command) ref() *pb.PromptRef {
	ref := &pb.PromptRef{Id: c.Prompt, Store: c.Store}
	switch {
	case c.Version != "":
		ref.Selector = &pb.PromptRef_Version{Version: c.Version}
	case c.Environment != "":
		ref.Selector = &pb.PromptRef_Environment{Environment: c.Environment}
	}
	return ref
}

func (c *command) variables() *structpb.Struct {
	if c.Variables == nil {
		return nil
	}
	variables := &structpb.Struct{}
	if err := variables.UnmarshalJSON(c.Variables); err != nil {
		fail(err)
	}
	return variables
}

func milliseconds(count int) time.Duration {
	return time.Duration(count) * time.Millisecond
}
