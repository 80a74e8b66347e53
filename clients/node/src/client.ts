// The client.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Client } from '@grpc/grpc-js';

import { Caller, type CallOptions } from './calls.js';
import { findAddress, openChannel, type TlsFiles } from './channel.js';
import { PromptResolverError } from './errors.js';
import {
  CompleteRequestSchema,
  CompleteStreamRequestSchema,
  PromptResolver,
  ResolveRequestSchema,
  WatchPromptsRequestSchema,
  type CompleteResponse,
  type CompleteStreamResponse,
  type ResolveResponse,
  type WatchPromptsResponse,
} from './generated/prompt_resolver/v1/prompt_resolver_pb.js';
import { makeRequest } from './requests.js';
import { tokenSource } from './token.js';
import { watch } from './watching.js';

const RESOLVE_TIMEOUT_MS = 10_000;
const COMPLETE_TIMEOUT_MS = 120_000;

/** Where the server is, and who calls. */
export interface ClientOptions {
  /** `HOST:PORT`, `unix:/path` or `dns:///NAME:PORT`. By default `PROMPT_RESOLVER_ADDRESS`, else `127.0.0.1:50051`. */
  readonly address?: string | undefined;
  /** The caller's token. */
  readonly token?: string | undefined;
  /** A file that has the token, in place of `token`. It is read with every call; while it cannot be, the last one stays. */
  readonly tokenFile?: string | undefined;
  /** Makes the connection secure; `{}` does so with the authorities that Node trusts. */
  readonly tls?: TlsFiles | undefined;
}

/**
 * A client of prompt-resolver. One is enough for a process; it connects with the first call.
 *
 * Requests are the contract's messages, as plain objects. All methods fail with `PromptResolverError`.
 * `resolve` is tried again, up to three times, where the server is `UNAVAILABLE`; a completion is not,
 * as each one may cost tokens, unless the server was stopped before it began.
 */
export class PromptResolverClient {
  /** The channel as grpc-js has it, for what this class lacks. It knows no token and no deadline. */
  readonly channel: Client;
  readonly #caller: Caller;

  /** Fails for files that cannot be read, a token that cannot be sent, and a page's address. */
  constructor(options: ClientOptions = {}) {
    const address = findAddress(options.address);
    const token = tokenSource(options.token, options.tokenFile);
    this.channel = openChannel(address, options.tls);
    this.#caller = new Caller(this.channel, address, token);
  }

  /** Returns a rendered prompt, within 10 s unless told otherwise. */
  async resolve(
    request: MessageInitShape<typeof ResolveRequestSchema>,
    options: CallOptions = {},
  ): Promise<ResolveResponse> {
    return this.#caller.unary(
      PromptResolver.method.resolve,
      makeRequest(ResolveRequestSchema, request),
      within(options, RESOLVE_TIMEOUT_MS),
    );
  }

  /** Returns a model's whole answer to a prompt, within 120 s unless told otherwise. */
  async complete(
    request: MessageInitShape<typeof CompleteRequestSchema>,
    options: CallOptions = {},
  ): Promise<CompleteResponse> {
    return this.#caller.unary(
      PromptResolver.method.complete,
      makeRequest(CompleteRequestSchema, request),
      within(options, COMPLETE_TIMEOUT_MS),
    );
  }

  /**
   * Yields a model's answer as it arrives, within 120 s unless told otherwise.
   *
   * `finished` comes last; a stream that ends without it fails with `STREAM_INCOMPLETE`. Leaving the
   * loop early cancels the call, and with it the model.
   */
  completeStream(
    request: MessageInitShape<typeof CompleteStreamRequestSchema>,
    options: CallOptions = {},
  ): AsyncGenerator<CompleteStreamResponse, void, undefined> {
    const { completeStream } = PromptResolver.method;
    return this.#caller.stream(within(options, COMPLETE_TIMEOUT_MS), (made) =>
      whole(this.#caller.events(completeStream, makeRequest(CompleteStreamRequestSchema, request), made)),
    );
  }

  /**
   * Yields how prompts are, and what happens to them; without any, to all that the server holds.
   *
   * Where the connection breaks or the server restarts, the watch goes on after the last event; if
   * the server does not know that one any more, a snapshot comes again. It has no deadline unless told.
   */
  watch(
    request: MessageInitShape<typeof WatchPromptsRequestSchema> = {},
    options: CallOptions = {},
  ): AsyncGenerator<WatchPromptsResponse, void, undefined> {
    return this.#caller.stream(options, (made) => watch(this.#caller, request, made));
  }

  /** Closes the connection. Calls and watches that run, and later ones, fail with `CANCELLED`. */
  close(): void {
    this.#caller.close();
  }
}

/** Yields an answer's events, and fails if its end has not come. */
async function* whole(
  events: AsyncGenerator<CompleteStreamResponse, void, undefined>,
): AsyncGenerator<CompleteStreamResponse, void, undefined> {
  let finished = false;
  for await (const event of events) {
    finished ||= event.event.case === 'finished';
    yield event;
  }
  if (finished) return;
  const message = 'the stream ended without `finished`: the answer is not whole';
  const particulars = { reason: 'STREAM_INCOMPLETE', domain: 'prompt-resolver' };
  throw new PromptResolverError('INTERNAL', message, particulars);
}

function within(options: CallOptions, timeoutMs: number): CallOptions {
  return { ...options, timeoutMs: options.timeoutMs ?? timeoutMs };
}
