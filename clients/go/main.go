// This program asks a running prompt-resolver for a prompt, then for a model's answer to it as it
// arrives, and reads the error of a call that must fail. Its argument is the server's HOST:PORT.
package main

//go:generate buf generate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "promptresolver.dev/clients/go/promptresolverv1"
)

// Only Resolve is tried again: every completion may cost tokens.
const serviceConfig = `{
	"methodConfig": [{
		"name": [{"service": "prompt_resolver.v1.PromptResolver", "method": "Resolve"}],
		"retryPolicy": {
			"maxAttempts": 3,
			"initialBackoff": "0.1s",
			"maxBackoff": "1s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

var (
	prompt    = &pb.PromptRef{Id: "support/reply"}
	variables = &structpb.Struct{Fields: map[string]*structpb.Value{
		"company":       structpb.NewStringValue("Acme"),
		"customer_name": structpb.NewStringValue("Ada"),
		"order_id":      structpb.NewStringValue("A-1001"),
		"message":       structpb.NewStringValue("Where is my parcel?"),
	}}
)

func main() {
	address := cmp.Or(os.Getenv("PROMPT_RESOLVER_ADDRESS"), "127.0.0.1:50051")
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(context.Background(), address); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig))
	if err != nil {
		return err
	}
	defer conn.Close()

	client := pb.NewPromptResolverClient(conn)
	if err := resolve(ctx, client); err != nil {
		return err
	}
	if err := completeStream(ctx, client); err != nil {
		return err
	}
	return resolveWithoutVariables(ctx, client)
}

func resolve(ctx context.Context, client pb.PromptResolverClient) error {
	fmt.Println("== Resolve")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	resolved, err := client.Resolve(ctx, &pb.ResolveRequest{Prompt: prompt, Variables: variables})
	if err != nil {
		return err
	}
	served := resolved.GetPrompt()
	fmt.Printf("prompt: %s, version %s\n", served.GetId(), served.GetVersion())
	fmt.Printf("model: %s/%s\n", resolved.GetProvider(), resolved.GetModel())
	for _, message := range resolved.GetMessages() {
		for _, part := range message.GetContent() {
			fmt.Printf("%s: %s\n", message.GetRole(), part.GetText())
		}
	}
	return nil
}

func completeStream(ctx context.Context, client pb.PromptResolverClient) error {
	fmt.Println("== CompleteStream")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel() // A return before the end cancels the call, and with it the model.

	request := &pb.CompleteStreamRequest{Prompt: prompt, Variables: variables}
	stream, err := client.CompleteStream(ctx, request)
	if err != nil {
		return err
	}
	var finished *pb.Finished
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch event := response.GetEvent().(type) {
		case *pb.CompleteStreamResponse_TextDelta:
			fmt.Print(event.TextDelta)
		case *pb.CompleteStreamResponse_Finished:
			finished = event.Finished
		}
	}
	fmt.Println()
	if finished == nil {
		return errors.New("the stream ended without `finished`: the answer is not whole")
	}
	fmt.Println("finish reason:", finished.GetFinishReason())
	if usage := finished.GetUsage(); usage != nil {
		fmt.Printf("usage: %d tokens in, %d out\n", usage.GetInputTokens(), usage.GetOutputTokens())
	}
	return nil
}

func resolveWithoutVariables(ctx context.Context, client pb.PromptResolverClient) error {
	fmt.Println("== Resolve without variables")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	_, err := client.Resolve(ctx, &pb.ResolveRequest{Prompt: prompt})
	failure := status.Convert(err)
	fmt.Println("code:", failure.Code())
	var reason string
	for _, detail := range failure.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
			fmt.Printf("reason: %s of %s\n", reason, detail.GetDomain())
			fmt.Println("missing:", detail.GetMetadata()["missing"])
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				fmt.Printf("%s: %s\n", violation.GetField(), violation.GetDescription())
			}
		}
	}
	if reason != "VARIABLES_INVALID" {
		return fmt.Errorf("expected VARIABLES_INVALID, not %q", reason)
	}
	return nil
}
