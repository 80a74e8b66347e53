// The token that says who calls.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

import { PromptResolverError } from './errors.js';
import { isPrintable } from './headers.js';

/** Returns the token to send with a call, if there is one. */
export type TokenSource = () => Promise<string | undefined>;

/** Returns the source of a token that is given, or that a file has. */
export function tokenSource(token: string | undefined, file: string | undefined): TokenSource {
  if (file === undefined) {
    if (token !== undefined) check(token, '');
    return async () => token;
  }
  if (token !== undefined) throw new Error('expected token or tokenFile, got both');
  let last = readFileSync(file, 'utf8').trim();
  if (!last) throw new Error(`expected a token in ${file}, which is empty`);
  check(last, ` in ${file}`);
  return async () => {
    const read = (await readFile(file, 'utf8').catch(() => '')).trim();
    // While a file is being replaced, the last token stays.
    if (read && isPrintable(read)) last = read;
    return last;
  };
}

function check(token: string, where: string): void {
  if (isPrintable(token)) return;
  throw new PromptResolverError('INVALID_ARGUMENT', `expected a token of printable ASCII${where}`);
}
