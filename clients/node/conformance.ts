// Makes the calls that it is told, for the conformance suite. Reads a command per line of standard
// input, as JSON, and answers each with a line, in order.

import { createInterface } from 'node:readline';

import { toJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import type { ServiceError } from '@grpc/grpc-js';

import {
  CompleteResponseSchema,
  CompleteStreamResponseSchema,
  PromptResolverClient,
  PromptResolverError,
  ResolveResponseSchema,
  WatchPromptsResponseSchema,
  type CallOptions,
} from 'prompt-resolver';

type Optional<T> = T | null | undefined;

interface Command {
  op: string;
  address: string;
  token?: Optional<string>;
  token_file?: Optional<string>;
  tls?: Optional<Partial<Record<'ca_file' | 'cert_file' | 'key_file' | 'server_name', string | null>>>;
  prompt: string;
  version?: Optional<string>;
  environment?: Optional<string>;
  store?: Optional<string>;
  alias?: Optional<string>;
  model?: Optional<string>;
  variables?: Optional<JsonObject>;
  timeout_ms?: Optional<number>;
  metadata?: Optional<Record<string, string>>;
  cancel_after_ms?: Optional<number>;
  cancel_after_messages?: Optional<number>;
  prompts: string[];
  messages: number;
  method: 'resolve' | 'complete';
  concurrency: number;
}

type Answer = { ok: boolean } & Record<string, unknown>;

const MAX_ERRORS = 20;

class Driver {
  #client = new PromptResolverClient();
  #repetition: Repetition | undefined;

  async run(command: Command): Promise<Answer> {
    switch (command.op) {
      case 'connect':
        return this.#connect(command);
      case 'resolve': {
        const response = await this.#client.resolve(requestOf(command), optionsOf(command));
        return { ok: true, response: toJson(ResolveResponseSchema, response) };
      }
      case 'complete': {
        const response = await this.#client.complete(requestOf(command), optionsOf(command));
        return { ok: true, response: toJson(CompleteResponseSchema, response) };
      }
      case 'complete_stream':
        return this.#completeStream(command);
      case 'watch':
        return this.#watch(command);
      case 'unimplemented':
        return this.#unimplemented(command);
      case 'repeat':
        this.#repetition = new Repetition(this.#client, command);
        return { ok: true };
      case 'stop':
        return this.#repetition!.stop();
      default:
        throw new Error(`unknown op ${command.op}`);
    }
  }

  close(): void {
    this.#client.close();
  }

  #connect(command: Command): Answer {
    this.#client.close();
    try {
      this.#client = this.#open(command);
    } catch (error) {
      return failed(new PromptResolverError('FAILED_PRECONDITION', (error as Error).message));
    }
    return { ok: true };
  }

  #open({ address, token, token_file, tls }: Command): PromptResolverClient {
    return new PromptResolverClient({
      address,
      token: token ?? undefined,
      tokenFile: token_file ?? undefined,
      tls: tls
        ? {
            caFile: tls.ca_file ?? undefined,
            certFile: tls.cert_file ?? undefined,
            keyFile: tls.key_file ?? undefined,
            serverName: tls.server_name ?? undefined,
          }
        : undefined,
    });
  }

  async #completeStream(command: Command): Promise<Answer> {
    const events: JsonValue[] = [];
    try {
      for await (const event of this.#client.completeStream(requestOf(command), optionsOf(command))) {
        events.push(toJson(CompleteStreamResponseSchema, event));
        if (events.length === command.cancel_after_messages) {
          // Leaving the loop cancels the call, which then has nobody to tell so.
          return { ...failed(new PromptResolverError('CANCELLED', 'the loop was left')), events };
        }
      }
      return { ok: true, events };
    } catch (error) {
      return { ...failed(error), events };
    }
  }

  async #watch(command: Command): Promise<Answer> {
    const events: JsonValue[] = [];
    const request = { prompts: command.prompts.map((id) => ({ id })) };
    for await (const event of this.#client.watch(request, optionsOf(command))) {
      events.push(toJson(WatchPromptsResponseSchema, event));
      if (events.length === command.messages) break;
    }
    return { ok: true, events };
  }

  #unimplemented({ timeout_ms }: Command): Promise<Answer> {
    const bytes = (message: Buffer) => message;
    return new Promise((resolve, reject) => {
      this.#client.channel.makeUnaryRequest(
        '/prompt_resolver.v1.PromptResolver/Nothing',
        bytes,
        bytes,
        Buffer.alloc(0),
        { deadline: Date.now() + (timeout_ms ?? 10_000) },
        (error: ServiceError | null) => {
          if (error) reject(PromptResolverError.from(error));
          else resolve({ ok: true });
        },
      );
    });
  }
}

/** Calls that are made again and again, some at a time, until they are stopped. */
class Repetition {
  readonly #client: PromptResolverClient;
  readonly #command: Command;
  readonly #runs: Promise<void>[];
  readonly #versions: Record<string, number> = {};
  readonly #errors: unknown[] = [];
  #calls = 0;
  #failed = 0;
  #slowestMs = 0;
  #stopped = false;

  constructor(client: PromptResolverClient, command: Command) {
    this.#client = client;
    this.#command = command;
    this.#runs = Array.from({ length: command.concurrency }, () => this.#run());
  }

  async stop(): Promise<Answer> {
    this.#stopped = true;
    await Promise.all(this.#runs);
    return {
      ok: true,
      calls: this.#calls,
      versions: this.#versions,
      errors: this.#errors,
      failed: this.#failed,
      slowest_ms: this.#slowestMs,
    };
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const begunAt = performance.now();
      this.#calls += 1;
      try {
        const request = requestOf(this.#command);
        const { prompt } = await this.#client[this.#command.method](request, optionsOf(this.#command));
        const version = prompt?.version ?? '';
        this.#versions[version] = (this.#versions[version] ?? 0) + 1;
      } catch (error) {
        this.#failed += 1;
        if (this.#errors.length < MAX_ERRORS) this.#errors.push(failed(error)['error']);
      }
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - begunAt);
    }
  }
}

function requestOf({ prompt, version, environment, store, alias, model, variables }: Command) {
  return {
    ...(prompt && {
      prompt: {
        id: prompt,
        ...(store != null && { store }),
        ...(version != null && { selector: { case: 'version' as const, value: version } }),
        ...(environment != null && { selector: { case: 'environment' as const, value: environment } }),
      },
    }),
    ...(alias != null && { alias }),
    ...(model != null && { model }),
    ...(variables && { variables }),
  };
}

function optionsOf({ timeout_ms, metadata, cancel_after_ms }: Command): CallOptions {
  const controller = new AbortController();
  if (cancel_after_ms != null) setTimeout(() => controller.abort(), cancel_after_ms);
  return {
    signal: controller.signal,
    timeoutMs: timeout_ms ?? undefined,
    metadata: metadata ?? undefined,
  };
}

function failed(error: unknown): Answer {
  if (!(error instanceof PromptResolverError)) throw error;
  const { code, message, reason, domain, metadata, violations, retryAfterMs } = error;
  const told = violations.map(({ field, description }) => ({ field, description }));
  return {
    ok: false,
    error: { code, message, reason, domain, metadata, violations: told, retry_after_ms: retryAfterMs ?? null },
  };
}

const driver = new Driver();
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await driver.run(JSON.parse(line) as Command).catch(failed);
  console.log(JSON.stringify(answer));
}
driver.close();
