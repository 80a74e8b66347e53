// This program drives the client for the conformance suite. It reads one command per line on standard
// input, as JSON, and answers each with a line on standard output, in order, until its input ends.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	promptresolver "promptresolver.dev/clients/go"
)

const longestLine = 64 << 20

func main() {
	driver := &driver{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var command command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			fail(err)
		}
		if err := answers.Encode(driver.run(&command)); err != nil {
			fail(err)
		}
	}
	if err := errors.Join(lines.Err(), driver.close()); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}

// driver is connected to a server, and may have calls that it repeats.
type driver struct {
	client     *promptresolver.Client
	repetition *repetition
}

func (d *driver) run(command *command) *answer {
	ctx, cancel := command.context()
	defer cancel()
	switch command.Op {
	case "connect":
		return d.connect(command)
	case "resolve":
		response, err := d.client.Resolve(ctx, command.resolveRequest())
		return responded(response, err)
	case "complete":
		response, err := d.client.Complete(ctx, command.completeRequest())
		return responded(response, err)
	case "complete_stream":
		return d.completeStream(ctx, command)
	case "watch":
		return d.watch(ctx, command)
	case "unimplemented":
		return d.unimplemented(ctx)
	case "repeat":
		d.repetition = repeat(d.client, command)
		return &answer{OK: true}
	case "stop":
		return d.repetition.stop()
	}
	panic("unknown command: " + command.Op)
}

func (d *driver) connect(command *command) *answer {
	if err := d.close(); err != nil {
		return failed(err)
	}
	client, err := promptresolver.New(command.Address, command.options()...)
	if err != nil {
		return failed(err)
	}
	d.client = client
	return &answer{OK: true}
}

func (d *driver) completeStream(ctx context.Context, command *command) *answer {
	answer := &answer{OK: true}
	if command.CancelAfterMessages > 0 {
		// It is the loop that is left.
		ctx = context.WithoutCancel(ctx)
	}
	for event, err := range d.client.CompleteStream(ctx, command.streamRequest()) {
		if err != nil {
			answer.fail(err)
			break
		}
		answer.add(event)
		if len(answer.Events) == command.CancelAfterMessages {
			answer.fail(context.Canceled)
			break
		}
	}
	return answer
}

func (d *driver) watch(ctx context.Context, command *command) *answer {
	answer := &answer{OK: true}
	for event, err := range d.client.Watch(ctx, command.watchRequest()) {
		if err != nil {
			answer.fail(err)
			break
		}
		answer.add(event)
		if len(answer.Events) == command.Messages {
			break
		}
	}
	return answer
}

func (d *driver) unimplemented(ctx context.Context) *answer {
	return failed(d.client.Conn().Invoke(ctx, "/prompt_resolver.v1.PromptResolver/Nothing", nothing, nothing))
}

func (d *driver) close() error {
	if d.client == nil {
		return nil
	}
	client := d.client
	d.client = nil
	return client.Close()
}
