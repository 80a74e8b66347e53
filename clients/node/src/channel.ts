// How the server is reached.

import { readFileSync } from 'node:fs';

import { Client, credentials, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';

import { PromptResolverError } from './errors.js';

const DEFAULT_ADDRESS = '127.0.0.1:50051';

/** The most that a server may be set to take and to send. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const SERVICE = 'prompt_resolver.v1.PromptResolver';

// What is tried again: Resolve where a server cannot answer, and any call that a server which is being
// stopped cancels before it began. No other completion, as each may cost tokens.
const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    retried(['Resolve'], ['UNAVAILABLE', 'CANCELLED']),
    retried(['Complete', 'CompleteStream', 'WatchPrompts'], ['CANCELLED']),
  ],
  // As many as a busy caller may have under way when its server stops.
  retryThrottling: { maxTokens: 1000, tokenRatio: 0.1 },
};

function retried(methods: string[], retryableStatusCodes: string[]) {
  return {
    name: methods.map((method) => ({ service: SERVICE, method })),
    retryPolicy: {
      maxAttempts: 3,
      initialBackoff: '0.1s',
      maxBackoff: '1s',
      backoffMultiplier: 2,
      retryableStatusCodes,
    },
  };
}

/** Files that make the connection secure, all PEM. They are read when the client is made. */
export interface TlsFiles {
  /** The authorities that may vouch for the server. By default those that Node trusts. */
  readonly caFile?: string | undefined;
  /** The client's own certificate, for a server that wants one. Needs `keyFile`. */
  readonly certFile?: string | undefined;
  /** The key of that certificate. */
  readonly keyFile?: string | undefined;
  /** The name that the server's certificate must have. By default the address' host. */
  readonly serverName?: string | undefined;
}

/** Returns the address that is given, else the environment's, else the default. */
export function findAddress(given: string | undefined): string {
  const address = given || process.env['PROMPT_RESOLVER_ADDRESS'] || DEFAULT_ADDRESS;
  // grpc-js takes a page's address for a name, and has calls wait for it.
  if (/^https?:\/\//i.test(address)) {
    throw new PromptResolverError('INVALID_ARGUMENT', 'expected HOST:PORT as the address, without http://');
  }
  return address;
}

/** Returns a client of grpc-js. It connects with the first call. */
export function openChannel(address: string, tls: TlsFiles | undefined): Client {
  const options: ChannelOptions = {
    'grpc.service_config': JSON.stringify(SERVICE_CONFIG),
    'grpc.keepalive_time_ms': 30_000,
    // A server that is back is found within a second: gRPC looks a fifth earlier or later than told,
    // and unless told otherwise every two minutes.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 700,
    // As soon is one that has got another address.
    'grpc.dns_min_time_between_resolutions_ms': 2_000,
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    // What has no room here is not tried again.
    'grpc.per_rpc_retry_buffer_size': MAX_MESSAGE_BYTES,
    'grpc.retry_buffer_size': MAX_MESSAGE_BYTES,
  };
  // grpc-js would ask a proxy of the environment's even for what is beside the caller.
  if (isBeside(address)) options['grpc.enable_http_proxy'] = 0;
  if (tls?.serverName) options['grpc.ssl_target_name_override'] = tls.serverName;
  return new Client(address, tls ? readCredentials(tls) : credentials.createInsecure(), options);
}

function readCredentials({ caFile, certFile, keyFile }: TlsFiles): ChannelCredentials {
  const read = (file: string | undefined) => (file ? readFileSync(file) : null);
  return credentials.createSsl(read(caFile), read(keyFile), read(certFile));
}

function isBeside(address: string): boolean {
  return /^unix|^(dns:(\/\/\/)?)?(localhost|127\.[\d.]+|\[::1\])(:\d+)?$/.test(address);
}
