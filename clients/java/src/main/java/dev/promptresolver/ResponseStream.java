package dev.promptresolver;

import java.util.Iterator;

/**
 * Responses that are read as they arrive, by one thread.
 *
 * <p>Closing the stream, from any thread, cancels the call; a reader that waits then gets a {@link
 * PromptResolverException} of CANCELLED. Close it also where the loop is left early:
 *
 * <pre>{@code
 * try (var events = client.completeStream(request)) {
 *   for (var event : events) {
 *     …
 *   }
 * }
 * }</pre>
 */
public interface ResponseStream<T> extends Iterable<T>, AutoCloseable {
  /**
   * Returns the stream's one iterator: a second loop goes on where the first one stopped.
   *
   * <p>Its methods throw {@link PromptResolverException}.
   */
  @Override
  Iterator<T> iterator();

  /** Cancels the call, unless it has ended. */
  @Override
  void close();
}
