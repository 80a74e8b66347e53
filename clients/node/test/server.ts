// A server that never answers by itself: it tells what it was called with, and who has left.

import { once, EventEmitter } from 'node:events';

import {
  Server,
  ServerCredentials,
  status,
  type Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const METHODS = { Resolve: false, Complete: false, CompleteStream: true, WatchPrompts: true };

export type Call = ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;
type Answer = (error: { code: status } | null, response?: Buffer) => void;

/** What becomes of a call. */
export type Handler = (metadata: Metadata, answer: Answer, call: Call) => void;

export class HangingServer {
  readonly #server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE_BYTES });
  readonly #told = new EventEmitter();
  readonly #handle: Handler;
  address = '';

  private constructor(handle: Handler) {
    this.#handle = handle;
  }

  static async start(handle: Handler = () => {}): Promise<HangingServer> {
    const made = new HangingServer(handle);
    await made.#start();
    return made;
  }

  /** Waits until a call has begun. Ask before it is made. */
  async begun(): Promise<void> {
    await once(this.#told, 'begun');
  }

  /** Waits until a call was left by its caller, and returns its method. Ask before it is left. */
  async left(): Promise<string> {
    const [method] = await once(this.#told, 'left');
    return method as string;
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  async #start(): Promise<void> {
    const bytes = (message: Buffer) => message;
    for (const [method, responseStream] of Object.entries(METHODS)) {
      const definition = {
        path: `/prompt_resolver.v1.PromptResolver/${method}`,
        requestStream: false,
        responseStream,
        requestSerialize: bytes,
        requestDeserialize: bytes,
        responseSerialize: bytes,
        responseDeserialize: bytes,
      };
      this.#server.addService({ [method]: definition }, {
        [method]: (call: Call, answer: Answer = (error) => call.emit('error', error)) => {
          call.on('cancelled', () => this.#told.emit('left', method));
          this.#told.emit('begun');
          this.#handle(call.metadata, answer, call);
        },
      });
    }
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    this.address = `127.0.0.1:${port}`;
  }
}
