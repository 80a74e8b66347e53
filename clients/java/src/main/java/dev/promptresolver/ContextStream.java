package dev.promptresolver;

import io.grpc.Context;
import io.grpc.Context.CancellableContext;
import io.grpc.Contexts;
import io.grpc.Status;
import java.util.Iterator;
import java.util.function.Supplier;

/**
 * A stream whose calls run in a context of its own, inside of the caller's: it ends with either.
 */
abstract class ContextStream<T> implements ResponseStream<T>, Iterator<T> {
  final CancellableContext context = Context.current().withCancellation();

  @Override
  public Iterator<T> iterator() {
    return this;
  }

  @Override
  public void close() {
    end("the stream was closed");
  }

  /** Ends the stream, also one that waits until its next call is worth making. */
  final void end(String why) {
    context.cancel(Status.CANCELLED.withDescription(why).asException());
  }

  /** Begins a call in the stream's context. */
  final Iterator<T> begin(Supplier<Iterator<T>> call) {
    var caller = context.attach();
    try {
      return call.get();
    } finally {
      context.detach(caller);
    }
  }

  /** Throws if the context has ended. What has come until then and was not read is dropped. */
  final void checkOpen() {
    if (context.isCancelled()) {
      throw PromptResolverException.of(Contexts.statusFromCancelled(context).asRuntimeException());
    }
  }
}
