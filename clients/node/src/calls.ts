// Calls as JavaScript has them: a promise, or an async iterator.

import {
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type MessageShape,
} from '@bufbuild/protobuf';
import { connectivityState, Metadata, type Client, type ServiceError } from '@grpc/grpc-js';

import { PromptResolverError } from './errors.js';
import { setHeader } from './headers.js';
import type { TokenSource } from './token.js';

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
  readonly #token: TokenSource;

  constructor(channel: Client, token: TokenSource) {
    this.#channel = channel;
    this.#token = token;
  }

  /** Calls a method with one answer. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const metadata = await this.#metadata(options);
    const { signal } = options;
    this.#throwIfEnded(signal);
    return new Promise((resolve, reject) => {
      const call = this.#channel.makeUnaryRequest(
        ...asGrpc(method),
        request,
        metadata,
        { deadline: deadline(options) },
        (error, response) => {
          signal?.removeEventListener('abort', cancel);
          if (error) reject(failure(error, signal));
          else resolve(response as MessageShape<O>);
        },
      );
      const cancel = () => call.cancel();
      signal?.addEventListener('abort', cancel);
    });
  }

  /** Calls a method whose answer is a stream. Leaving the loop over it cancels the call. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const metadata = await this.#metadata(options);
    const { signal } = options;
    this.#throwIfEnded(signal);
    const call = this.#channel.makeServerStreamRequest(...asGrpc(method), request, metadata, {
      deadline: deadline(options),
    });
    const cancel = () => call.cancel();
    signal?.addEventListener('abort', cancel);
    // A call that is cancelled fails when nobody listens any more, which would end the process.
    call.on('error', () => {});
    try {
      yield* call as AsyncIterable<MessageShape<O>>;
    } catch (error) {
      throw failure(error as ServiceError, signal);
    } finally {
      signal?.removeEventListener('abort', cancel);
      cancel();
    }
  }

  #throwIfEnded(signal: AbortSignal | undefined): void {
    if (signal?.aborted) {
      throw new PromptResolverError('CANCELLED', 'the call was cancelled', { cause: signal.reason });
    }
    if (this.#channel.getChannel().getConnectivityState(false) === connectivityState.SHUTDOWN) {
      throw new PromptResolverError('CANCELLED', 'the client is closed');
    }
  }

  async #metadata(options: CallOptions): Promise<Metadata> {
    // A server that is started anew costs time, and no call.
    const metadata = new Metadata({ waitForReady: true });
    const token = await this.#token();
    if (token) setHeader(metadata, 'authorization', `Bearer ${token}`);
    for (const [name, value] of Object.entries(options.metadata ?? {})) setHeader(metadata, name, value);
    return metadata;
  }
}

/** Returns what grpc-js wants to know of a method: its path, and how its messages become bytes. */
function asGrpc<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>,
) {
  return [
    `/${method.parent.typeName}/${method.name}`,
    (request: MessageShape<I>) => Buffer.from(toBinary(method.input, request)),
    (bytes: Buffer) => fromBinary(method.output, bytes),
  ] as const;
}

function deadline({ timeoutMs = Infinity }: CallOptions): number {
  return Date.now() + timeoutMs;
}

function failure(error: ServiceError, signal: AbortSignal | undefined): PromptResolverError {
  return PromptResolverError.from(error, signal?.aborted ? signal.reason : error);
}
