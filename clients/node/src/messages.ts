// The contract's messages and its service, without a way to call it: for programs that bring their own,
// such as a web page with Connect. Imports nothing of Node's.

export * from './generated/prompt_resolver/v1/prompt_resolver_pb.js';
export { ErrorReason } from './generated/prompt_resolver/v1/error_reason_pb.js';
export {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from './generated/error_details_pb.js';
