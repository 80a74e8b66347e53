// The calls that end with a signal of their caller's.

import { PromptResolverError } from './errors.js';

/** All that follow one signal. They share a listener: Node warns of a signal that has many. */
interface Followers {
  readonly calls: Set<AbortController>;
  readonly tell: () => void;
}

const followers = new WeakMap<AbortSignal, Followers>();

/** Has a call end with a signal. Returns what has it go its own way again. */
export function follow(signal: AbortSignal, call: AbortController): () => void {
  if (signal.aborted) {
    cancel(call, signal);
    return () => {};
  }
  const { calls, tell } = followers.get(signal) ?? gather(signal);
  calls.add(call);
  return () => {
    calls.delete(call);
    if (calls.size > 0) return;
    signal.removeEventListener('abort', tell);
    followers.delete(signal);
  };
}

function gather(signal: AbortSignal): Followers {
  const calls = new Set<AbortController>();
  const tell = () => calls.forEach((call) => cancel(call, signal));
  signal.addEventListener('abort', tell);
  followers.set(signal, { calls, tell });
  return { calls, tell };
}

function cancel(call: AbortController, signal: AbortSignal): void {
  call.abort(new PromptResolverError('CANCELLED', 'the call was cancelled', { cause: signal.reason }));
}
