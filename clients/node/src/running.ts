// The calls of a client that run, and how they are left before their end.

import { PromptResolverError } from './errors.js';
import { follow } from './followers.js';

type Stream<T> = AsyncGenerator<T, void, undefined>;

/** All calls of a client that run. The signals that they are given are aborted with what they fail with. */
export class Running {
  readonly #calls = new Set<AbortController>();
  readonly #isClosed: () => boolean;

  constructor(isClosed: () => boolean) {
    this.#isClosed = isClosed;
  }

  /** Makes a call, which ends with its caller's signal, or with the client. */
  async call<T>(signal: AbortSignal | undefined, make: (left: AbortSignal) => Promise<T>): Promise<T> {
    const call = new AbortController();
    const end = this.#begin(call, signal);
    try {
      return await make(call.signal);
    } finally {
      end();
    }
  }

  /** Returns a stream, which ends with its caller's signal, or with the client, or at once where it is left. */
  stream<T>(signal: AbortSignal | undefined, read: (left: AbortSignal) => Stream<T>): Stream<T> {
    const call = new AbortController();
    const events = this.#read(call, signal, read);
    const leave = () => call.abort(new PromptResolverError('CANCELLED', 'the stream was left'));
    // By itself a generator that waits for an event is left once that has come.
    const { return: end, throw: fail } = events;
    return Object.assign(events, {
      return: (value: void | PromiseLike<void>) => {
        leave();
        return end.call(events, value);
      },
      throw: (error: unknown) => {
        leave();
        return fail.call(events, error);
      },
    });
  }

  /** Ends all calls. */
  close(): void {
    for (const call of this.#calls) call.abort(closed());
  }

  async *#read<T>(
    call: AbortController,
    signal: AbortSignal | undefined,
    read: (left: AbortSignal) => Stream<T>,
  ): Stream<T> {
    const end = this.#begin(call, signal);
    try {
      yield* read(call.signal);
    } finally {
      end();
    }
  }

  #begin(call: AbortController, signal: AbortSignal | undefined): () => void {
    if (this.#isClosed()) throw closed();
    this.#calls.add(call);
    const unfollow = signal && follow(signal, call);
    return () => {
      this.#calls.delete(call);
      unfollow?.();
    };
  }
}

function closed(): PromptResolverError {
  return new PromptResolverError('CANCELLED', 'the client is closed');
}
