package promptresolver_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	promptresolver "promptresolver.dev/clients/go"
	pb "promptresolver.dev/clients/go/promptresolverv1"
)

// The page of the package has these; that they compile is what is tested of them.

func Example() {
	client, err := promptresolver.New("127.0.0.1:50051")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	answer, err := client.Complete(context.Background(), &pb.CompleteRequest{
		Prompt: &pb.PromptRef{Id: "support/reply"},
		Variables: &structpb.Struct{Fields: map[string]*structpb.Value{
			"company":       structpb.NewStringValue("Acme"),
			"customer_name": structpb.NewStringValue("Ada"),
			"order_id":      structpb.NewStringValue("A-1001"),
			"message":       structpb.NewStringValue("Where is it?"),
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.GetMessage().GetContent()[0].GetText())
}

func ExampleNew() {
	client, err := promptresolver.New("resolver.example:443",
		promptresolver.WithTokenFile("/run/secrets/token"),
		promptresolver.WithTLS(promptresolver.TLSFiles{
			CA:   "/run/tls/ca.crt",
			Cert: "/run/tls/tls.crt",
			Key:  "/run/tls/tls.key",
		}))
	_, _ = client, err
}

func ExampleClient_Resolve() {
	resolve := func(ctx context.Context, client *promptresolver.Client) (*pb.ResolveResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", "order-1001")
		return client.Resolve(ctx, &pb.ResolveRequest{Prompt: &pb.PromptRef{Id: "support/reply"}})
	}
	_ = resolve
}

func ExampleClient_CompleteStream() {
	answer := func(ctx context.Context, client *promptresolver.Client) error {
		request := &pb.CompleteStreamRequest{Prompt: &pb.PromptRef{Id: "support/reply"}}
		for event, err := range client.CompleteStream(ctx, request) {
			if err != nil {
				return err
			}
			fmt.Print(event.GetTextDelta())
		}
		return nil
	}
	_ = answer
}

func ExampleClient_Watch() {
	watch := func(ctx context.Context, client *promptresolver.Client) error {
		request := &pb.WatchPromptsRequest{Prompts: []*pb.PromptRef{{Id: "support/reply"}}}
		for event, err := range client.Watch(ctx, request) {
			if err != nil {
				return err
			}
			fmt.Println(event.GetChange(), event.GetPrompt().GetId(), event.GetPrompt().GetVersion())
		}
		return nil
	}
	_ = watch
}

func ExampleError() {
	tell := func(err error) {
		var failure *promptresolver.Error
		if errors.As(err, &failure) && failure.Reason == "VARIABLES_INVALID" {
			for _, violation := range failure.Violations {
				fmt.Println(violation.GetField(), violation.GetDescription())
			}
		}
	}
	_ = tell
}
