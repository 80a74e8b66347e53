// Calls as JavaScript has them: a promise, or an async iterator.

import {
  fromBinary,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageShape,
} from '@bufbuild/protobuf';
import { connectivityState, Metadata, type Client, type ServiceError } from '@grpc/grpc-js';

import { PromptResolverError } from './errors.js';
import { setHeader } from './headers.js';
import { encode } from './requests.js';
import { Running } from './running.js';
import type { TokenSource } from './token.js';

// grpc-js ends the process over a time that its header cannot tell; this one is 30 years.
const LONGEST_TIMEOUT_MS = 1e12;

/** What may be said of one call, beside its request. */
export interface CallOptions {
  /** Cancels the call, and with it what the server and the model do for it. */
  readonly signal?: AbortSignal | undefined;
  /** How long the call may take, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** What is sent along, such as `x-request-id`, `traceparent` or `x-provider-key-openai`: printable ASCII. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Makes calls over one channel, as one caller. */
export class Caller {
  readonly #channel: Client;
  readonly #address: string;
  readonly #token: TokenSource;
  readonly #running = new Running(() => this.#state() === connectivityState.SHUTDOWN);

  constructor(channel: Client, address: string, token: TokenSource) {
    this.#channel = channel;
    this.#address = address;
    this.#token = token;
  }

  /** Calls a method with one answer. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    return this.#running.call(options.signal, async (left) => {
      const bytes = encode(method.input, request);
      const [metadata, callOptions] = await this.#prepare(options, left);
      return new Promise((resolve, reject) => {
        const call = this.#channel.makeUnaryRequest(
          ...asGrpc(method),
          bytes,
          metadata,
          callOptions,
          (error, response) => {
            if (error) reject(this.#failure(error, options, left));
            else resolve(response as MessageShape<O>);
          },
        );
        left.addEventListener('abort', () => call.cancel());
      });
    });
  }

  /** Returns a stream over as many calls as it takes, which are made with the options that `read` is given. */
  stream<T>(
    options: CallOptions,
    read: (options: CallOptions) => AsyncGenerator<T, void, undefined>,
  ): AsyncGenerator<T, void, undefined> {
    return this.#running.stream(options.signal, (left) => read({ ...options, signal: left }));
  }

  /** Calls a method whose answer is a stream, within `stream`. */
  async *events<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const { signal: left } = options;
    const bytes = encode(method.input, request);
    const [metadata, callOptions] = await this.#prepare(options, left);
    const call = this.#channel.makeServerStreamRequest(...asGrpc(method), bytes, metadata, callOptions);
    const cancel = () => call.cancel();
    left?.addEventListener('abort', cancel);
    // A call that is cancelled fails when nobody listens any more, which would end the process.
    call.on('error', () => {});
    try {
      yield* call as AsyncIterable<MessageShape<O>>;
    } catch (error) {
      throw this.#failure(error as ServiceError, options, left);
    } finally {
      left?.removeEventListener('abort', cancel);
      cancel();
    }
  }

  /** Ends all calls that run, and the connection. */
  close(): void {
    this.#running.close();
    this.#channel.close();
  }

  /** Returns what a call is made with, unless it was left meanwhile. */
  async #prepare(options: CallOptions, left: AbortSignal | undefined) {
    const callOptions = { deadline: deadline(options) };
    // A server that is started anew costs time, and no call.
    const metadata = new Metadata({ waitForReady: true });
    const token = await this.#token();
    if (token) setHeader(metadata, 'authorization', `Bearer ${token}`);
    for (const [name, value] of Object.entries(options.metadata ?? {})) setHeader(metadata, name, value);
    left?.throwIfAborted();
    return [metadata, callOptions] as const;
  }

  #failure(error: ServiceError, { timeoutMs }: CallOptions, left: AbortSignal | undefined): PromptResolverError {
    if (left?.aborted) return left.reason as PromptResolverError;
    const failure = PromptResolverError.from(error);
    if (failure.code !== 'DEADLINE_EXCEEDED' || failure.reason) return failure;
    if (this.#state() === connectivityState.READY) return failure;
    const message = `no connection to ${this.#address} within ${Math.round(timeoutMs ?? 0)} ms`;
    return new PromptResolverError(failure.code, message, { cause: error });
  }

  #state(): connectivityState {
    return this.#channel.getChannel().getConnectivityState(false);
  }
}

/** Returns what grpc-js wants to know of a method: its path, and how bytes become its messages. */
function asGrpc<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>,
) {
  return [
    `/${method.parent.typeName}/${method.name}`,
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => fromBinary(method.output, bytes),
  ] as const;
}

function deadline({ timeoutMs = Infinity }: CallOptions): number {
  if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) {
    throw new PromptResolverError('INVALID_ARGUMENT', 'expected a number as timeoutMs');
  }
  return timeoutMs > LONGEST_TIMEOUT_MS ? Infinity : Date.now() + timeoutMs;
}
