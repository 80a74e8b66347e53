/** A client of prompt-resolver: prompts, and models' answers to them, over gRPC. */
package dev.promptresolver;
