// The token that says who calls.

import { readFile } from 'node:fs/promises';

import { PromptResolverError } from './errors.js';

/** Returns the token to send with a call, if there is one. */
export type TokenSource = () => Promise<string | undefined>;

/** Returns the source of a token that is given, or that a file has. */
export function tokenSource(token: string | undefined, file: string | undefined): TokenSource {
  if (token !== undefined || file === undefined) return async () => token;
  let last: string | undefined;
  return async () => {
    try {
      last = (await readFile(file, 'utf8')).trim() || last;
    } catch (cause) {
      // While a file is being replaced, the last token stays.
      if (last === undefined) {
        const message = `expected a token in ${file}, which cannot be read`;
        throw new PromptResolverError('FAILED_PRECONDITION', message, { cause });
      }
    }
    return last;
  };
}
