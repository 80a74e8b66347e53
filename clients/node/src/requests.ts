// Requests, and what of them cannot be sent.

import {
  create,
  toBinary,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';

import { PromptResolverError } from './errors.js';

// A server takes no more levels.
const MAX_LEVELS = 100;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Returns a request. Fails for variables that JSON has no form for. */
export function makeRequest<D extends DescMessage>(schema: D, init: MessageInitShape<D>): MessageShape<D> {
  const { variables } = init as { variables?: unknown };
  if (variables !== undefined) checkObject('variables', variables, 0);
  try {
    return create(schema, init);
  } catch (error) {
    throw refuse('a request', error);
  }
}

/** Returns a request as bytes. Fails for values that its fields cannot have. */
export function encode<D extends DescMessage>(schema: D, request: MessageShape<D>): Buffer {
  try {
    return Buffer.from(toBinary(schema, request));
  } catch (error) {
    throw refuse('values that fit their fields', error);
  }
}

function check(path: string, value: unknown, level: number): void {
  switch (typeof value) {
    case 'string':
      if (LONE_SURROGATE.test(value)) throw expected(path, 'text that is Unicode, got half a surrogate pair');
      return;
    case 'number':
    case 'boolean':
    case 'undefined':
      return;
    case 'object':
      if (value === null) return;
      if (level > MAX_LEVELS) throw expected(path, `no more than ${MAX_LEVELS} levels`);
      if (Array.isArray(value)) value.forEach((each, index) => check(`${path}[${index}]`, each, level + 1));
      else checkObject(path, value, level);
      return;
    default:
      throw expected(path, `a value that JSON has, got a ${typeof value}`);
  }
}

function checkObject(path: string, value: unknown, level: number): void {
  if (!isPlain(value)) throw expected(path, 'a plain object');
  for (const [name, each] of Object.entries(value)) check(`${path}.${name}`, each, level + 1);
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Objects of another realm, such as a test runner's, have another `Object`.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function expected(path: string, what: string): PromptResolverError {
  return new PromptResolverError('INVALID_ARGUMENT', `${path}: expected ${what}`);
}

function refuse(what: string, error: unknown): PromptResolverError {
  const told = error instanceof Error ? error.message : String(error);
  return new PromptResolverError('INVALID_ARGUMENT', `expected ${what}: ${told}`, { cause: error });
}
