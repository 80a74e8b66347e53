// How a watch goes on after the connection broke.

import { setTimeout } from 'node:timers/promises';

import { clone, type MessageInitShape } from '@bufbuild/protobuf';

import type { CallOptions, Caller } from './calls.js';
import { PromptResolverError } from './errors.js';
import {
  PromptResolver,
  WatchPromptsRequestSchema,
  type WatchPromptsResponse,
} from './generated/prompt_resolver/v1/prompt_resolver_pb.js';
import { makeRequest } from './requests.js';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** Watches prompts over as many calls as it takes. */
export async function* watch(
  caller: Caller,
  init: MessageInitShape<typeof WatchPromptsRequestSchema>,
  { timeoutMs = Infinity, ...options }: CallOptions,
): AsyncGenerator<WatchPromptsResponse, void, undefined> {
  // A copy, as it is written to: the caller may watch by the same request again.
  const request = clone(WatchPromptsRequestSchema, makeRequest(WatchPromptsRequestSchema, init));
  const endsAt = performance.now() + timeoutMs;
  const remainingMs = () => Math.max(0, endsAt - performance.now());
  for (let failures = 0; ; failures += 1) {
    const call = caller.events(PromptResolver.method.watchPrompts, request, {
      ...options,
      timeoutMs: remainingMs(),
    });
    let retryAfterMs = 0;
    try {
      for await (const event of call) {
        request.afterRevision = event.revision;
        failures = 0;
        yield event;
      }
    } catch (error) {
      if (!isPassing(error)) throw error;
      retryAfterMs = error.retryAfterMs ?? 0;
    }
    const pauseMs = Math.min(Math.max(retryAfterMs, pauseAfter(failures)), remainingMs());
    // Where the signal ends the pause, the next call says so.
    await setTimeout(pauseMs, undefined, { signal: options.signal }).catch(() => {});
  }
}

function isPassing(error: unknown): error is PromptResolverError {
  if (!(error instanceof PromptResolverError)) return false;
  const busy = error.code === 'RESOURCE_EXHAUSTED' && error.reason === 'OVERLOADED';
  return busy || error.code === 'UNAVAILABLE';
}

function pauseAfter(failures: number): number {
  const longestMs = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
  // At a random time, so that not all whose server restarts come back at once.
  return Math.random() * longestMs;
}
