export type { CallOptions } from './calls.js';
export type { TlsFiles } from './channel.js';
export { PromptResolverClient, type ClientOptions } from './client.js';
export {
  PromptResolverError,
  type FieldViolation,
  type Particulars,
  type Reason,
  type StatusName,
} from './errors.js';
export * from './messages.js';
