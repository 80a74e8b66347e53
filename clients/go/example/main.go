// This program asks a running prompt-resolver for a prompt, then for a model's answer to it as it
// arrives, and reads the error of a call that must fail. Its argument is the server's HOST:PORT.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	promptresolver "promptresolver.dev/clients/go"
	pb "promptresolver.dev/clients/go/promptresolverv1"
)

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
	var address string
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(context.Background(), address); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	client, err := promptresolver.New(address)
	if err != nil {
		return err
	}
	defer client.Close()

	if err := resolve(ctx, client); err != nil {
		return err
	}
	if err := completeStream(ctx, client); err != nil {
		return err
	}
	return resolveWithoutVariables(ctx, client)
}

func resolve(ctx context.Context, client *promptresolver.Client) error {
	fmt.Println("== Resolve")
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

func completeStream(ctx context.Context, client *promptresolver.Client) error {
	fmt.Println("== CompleteStream")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	var finished *pb.Finished
	request := &pb.CompleteStreamRequest{Prompt: prompt, Variables: variables}
	// Leaving the loop before its end cancels the call, and with it the model.
	for response, err := range client.CompleteStream(ctx, request) {
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
	fmt.Println("finish reason:", finished.GetFinishReason())
	if usage := finished.GetUsage(); usage != nil {
		fmt.Printf("usage: %d tokens in, %d out\n", usage.GetInputTokens(), usage.GetOutputTokens())
	}
	return nil
}

func resolveWithoutVariables(ctx context.Context, client *promptresolver.Client) error {
	fmt.Println("== Resolve without variables")
	_, err := client.Resolve(ctx, &pb.ResolveRequest{Prompt: prompt})
	var failure *promptresolver.Error
	if !errors.As(err, &failure) {
		return fmt.Errorf("expected an error, not %w", err)
	}
	fmt.Println("code:", failure.Code)
	fmt.Printf("reason: %s of %s\n", failure.Reason, failure.Domain)
	fmt.Println("missing:", failure.Metadata["missing"])
	for _, violation := range failure.Violations {
		fmt.Printf("%s: %s\n", violation.GetField(), violation.GetDescription())
	}
	if failure.Reason != "VARIABLES_INVALID" {
		return fmt.Errorf("expected VARIABLES_INVALID, not %w", failure)
	}
	return nil
}
