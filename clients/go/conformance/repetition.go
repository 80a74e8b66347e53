package main

import (
	"sync"
	"time"

	promptresolver "promptresolver.dev/clients/go"
	pb "promptresolver.dev/clients/go/promptresolverv1"
)

const maxErrors = 20

// tally is what became of repeated calls.
type tally struct {
	Calls     int            `json:"calls"`
	Versions  map[string]int `json:"versions"`
	Errors    []*failure     `json:"errors"`
	Failed    int            `json:"failed"`
	SlowestMS float64        `json:"slowest_ms"`
}

// repetition makes calls again and again, in the background, until it is stopped.
type repetition struct {
	client  *promptresolver.Client
	command *command
	ended   chan struct{}
	running sync.WaitGroup

	mu    sync.Mutex
	tally tally
}

func repeat(client *promptresolver.Client, command *command) *repetition {
	r := &repetition{
		client:  client,
		command: command,
		ended:   make(chan struct{}),
		tally:   tally{Versions: map[string]int{}, Errors: []*failure{}},
	}
	for range command.Concurrency {
		r.running.Go(r.run)
	}
	return r
}

func (r *repetition) stop() *answer {
	close(r.ended)
	r.running.Wait()
	return &answer{OK: true, tally: &r.tally}
}

func (r *repetition) run() {
	for {
		select {
		case <-r.ended:
			return
		default:
		}
		began := time.Now()
		prompt, err := r.call()
		r.count(prompt, err, time.Since(began))
	}
}

func (r *repetition) call() (*pb.PromptInfo, error) {
	ctx, cancel := r.command.context()
	defer cancel()
	if r.command.Method == "resolve" {
		response, err := r.client.Resolve(ctx, r.command.resolveRequest())
		return response.GetPrompt(), err
	}
	response, err := r.client.Complete(ctx, r.command.completeRequest())
	return response.GetPrompt(), err
}

func (r *repetition) count(prompt *pb.PromptInfo, err error, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.Calls++
	r.tally.SlowestMS = max(r.tally.SlowestMS, float64(took.Microseconds())/1000)
	if err == nil {
		r.tally.Versions[prompt.GetVersion()]++
		return
	}
	r.tally.Failed++
	if len(r.tally.Errors) < maxErrors {
		r.tally.Errors = append(r.tally.Errors, describe(err))
	}
}
