// What travels beside a request.

import { Metadata } from '@grpc/grpc-js';

import { PromptResolverError } from './errors.js';

// A name that ends so has bytes for a value, which nothing of the service's takes.
const NAME = /^(?!.*-bin$)[0-9a-z_.-]+$/i;
const PRINTABLE = /^[ -~]*$/;

/** Tells whether a value may travel in a header. */
export function isPrintable(value: unknown): value is string {
  return typeof value === 'string' && PRINTABLE.test(value);
}

/** Fails for what is no header, without showing its value: grpc-js would, and it may be a key. */
export function setHeader(headers: Metadata, name: string, value: string): void {
  if (!NAME.test(name)) {
    throw new PromptResolverError('INVALID_ARGUMENT', `expected the name of a header, got ${JSON.stringify(name)}`);
  }
  if (!isPrintable(value)) {
    throw new PromptResolverError('INVALID_ARGUMENT', `expected printable ASCII as the value of ${name}`);
  }
  headers.set(name, value);
}
