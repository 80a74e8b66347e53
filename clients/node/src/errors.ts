// What a failed call throws.

import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { anyUnpack, durationMs, type Any } from '@bufbuild/protobuf/wkt';
import { status, type ServiceError } from '@grpc/grpc-js';

import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  StatusSchema,
} from './generated/error_details_pb.js';
import type { ErrorReason } from './generated/prompt_resolver/v1/error_reason_pb.js';

const DETAILS_KEY = 'grpc-status-details-bin';

/** The name of a gRPC status, such as `NOT_FOUND`. */
export type StatusName = keyof typeof status;

/** A value of the contract's `ErrorReason` without its prefix; a newer server may know others. */
export type Reason = keyof typeof ErrorReason | (string & {});

/** One field of a request, by its path, and what is wrong with it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What is known of a failure beside its status. */
export interface Particulars extends ErrorOptions {
  readonly reason?: Reason;
  readonly domain?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  readonly retryAfterMs?: number;
}

/** A call that failed. */
export class PromptResolverError extends Error {
  override readonly name = 'PromptResolverError';
  /** The gRPC status. */
  readonly code: StatusName;
  /** Why, such as `VARIABLES_INVALID`. Empty where the status is gRPC's own, as for a deadline that is over. */
  readonly reason: Reason;
  /** Whose reason it is: `prompt-resolver`, or empty. */
  readonly domain: string;
  /** The particulars that the contract documents for the reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The fields of the request that are at fault. */
  readonly violations: readonly FieldViolation[];
  /** How long to wait before trying again, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(code: StatusName, message: string, particulars: Particulars = {}) {
    super(message, particulars);
    this.code = code;
    this.reason = particulars.reason ?? '';
    this.domain = particulars.domain ?? '';
    this.metadata = particulars.metadata ?? {};
    this.violations = particulars.violations ?? [];
    this.retryAfterMs = particulars.retryAfterMs;
  }

  /** Returns what an error of grpc-js says. `cause` is its cause, by default that error. */
  static from(error: ServiceError, cause: unknown = error): PromptResolverError {
    const code = (status[error.code] as StatusName | undefined) ?? 'UNKNOWN';
    return new PromptResolverError(code, error.details, { ...read(detailsOf(error)), cause });
  }
}

function detailsOf(error: ServiceError): Any[] {
  const [packed] = error.metadata.get(DETAILS_KEY);
  if (!(packed instanceof Uint8Array)) return [];
  try {
    return fromBinary(StatusSchema, packed).details;
  } catch {
    return []; // Details that are garbled leave the status as it is.
  }
}

function unpack<T extends DescMessage>(detail: Any, schema: T): MessageShape<T> | undefined {
  try {
    return anyUnpack(detail, schema);
  } catch {
    return undefined; // One that is garbled leaves the others as they are.
  }
}

function read(details: Any[]): Particulars {
  const find = <T extends DescMessage>(schema: T) =>
    details.map((detail) => unpack(detail, schema)).find((message) => message !== undefined);
  const info = find(ErrorInfoSchema);
  const delay = find(RetryInfoSchema)?.retryDelay;
  const request = find(BadRequestSchema);
  return {
    ...(info && { reason: info.reason, domain: info.domain, metadata: info.metadata }),
    ...(delay && { retryAfterMs: durationMs(delay) }),
    violations: request?.fieldViolations ?? [],
  };
}
