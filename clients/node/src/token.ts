// The token that says who calls.

import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** Returns the token to send with a call, if there is one. */
export type TokenSource = () => Promise<string | undefined>;

/** Returns the source of a token that is given, or that a file has. */
export function tokenSource(token: string | undefined, file: string | undefined): TokenSource {
  if (file === undefined) return async () => token;
  if (token !== undefined) throw new Error('expected token or tokenFile, got both');
  let last = readFileSync(file, 'utf8').trim();
  if (!last) throw new Error(`expected a token in ${file}, which is empty`);
  return async () => {
    // While a file is being replaced, the last token stays.
    last = (await readFile(file, 'utf8').catch(() => '')).trim() || last;
    return last;
  };
}
