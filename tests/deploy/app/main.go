// This program stands for the app of a pod: from its first moment until SIGTERM it calls
// prompt-resolver, with no pause and by every method that answers, and tells on standard output how
// its calls go. It ends with 1 if one of them has failed.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	promptresolver "promptresolver.dev/clients/go"
	pb "promptresolver.dev/clients/go/promptresolverv1"
)

const (
	callersEach = 2
	reportEvery = 50 * time.Millisecond
	maxFailures = 20
)

var (
	prompt    = &pb.PromptRef{Id: "greeting"}
	variables = &structpb.Struct{Fields: map[string]*structpb.Value{
		"name": structpb.NewStringValue("Ada"),
	}}
)

// A call returns the version of the prompt that it was answered with.
type call func(*promptresolver.Client) (string, error)

var calls = map[string]call{"resolve": resolve, "complete": complete, "stream": stream}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := promptresolver.New("")
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	defer client.Close()

	told := &report{Calls: map[string]int{}, Versions: map[string]int{}, Failures: []string{}}
	var callers sync.WaitGroup
	for name, call := range calls {
		for range callersEach {
			callers.Go(func() {
				for ctx.Err() == nil {
					told.note(name, call, client)
				}
			})
		}
	}
	ended := make(chan struct{})
	go func() { callers.Wait(); close(ended) }()
	for tick := time.Tick(reportEvery); ; {
		select {
		case <-tick:
			told.print()
		case <-ended:
			told.print()
			if len(told.Failures) > 0 {
				os.Exit(1)
			}
			return
		}
	}
}

// report is what is told of all calls so far.
type report struct {
	mu        sync.Mutex
	Calls     map[string]int `json:"calls"`     // that were answered, by method
	Versions  map[string]int `json:"versions"`  // of the prompts in these answers
	Cut       int            `json:"cut"`       // streams that the service ended, and said so
	Failures  []string       `json:"failures"`  // the first of them
	SlowestMS int64          `json:"slowestMs"` // of the calls that were answered
}

// note makes one call, and notes how it ended.
func (r *report) note(name string, call call, client *promptresolver.Client) {
	begun := time.Now()
	version, err := call(client)
	took := time.Since(begun).Milliseconds()
	var failure *promptresolver.Error

	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.Calls[name]++
		r.Versions[version]++
		r.SlowestMS = max(r.SlowestMS, took)
	case name == "stream" && errors.As(err, &failure) && failure.Reason == "DRAINING":
		r.Cut++
	case len(r.Failures) < maxFailures:
		r.Failures = append(r.Failures, fmt.Sprintf("%s after %d ms: %v", name, took, err))
	}
}

func (r *report) print() {
	r.mu.Lock()
	defer r.mu.Unlock()
	json.NewEncoder(os.Stdout).Encode(r)
}

func resolve(client *promptresolver.Client) (string, error) {
	request := &pb.ResolveRequest{Prompt: prompt, Variables: variables}
	resolved, err := client.Resolve(context.Background(), request)
	return resolved.GetPrompt().GetVersion(), err
}

func complete(client *promptresolver.Client) (string, error) {
	request := &pb.CompleteRequest{Prompt: prompt, Variables: variables}
	answer, err := client.Complete(context.Background(), request)
	return answer.GetPrompt().GetVersion(), err
}

func stream(client *promptresolver.Client) (version string, err error) {
	request := &pb.CompleteStreamRequest{Prompt: prompt, Variables: variables}
	for event, err := range client.CompleteStream(context.Background(), request) {
		if err != nil {
			return "", err
		}
		version = cmp.Or(event.GetStarted().GetPrompt().GetVersion(), version)
	}
	return version, nil
}
