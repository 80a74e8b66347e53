package dev.promptresolver;

import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.CompleteStreamResponse;
import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverBlockingStub;
import io.grpc.Context;
import io.grpc.Context.CancellableContext;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;

/** A model's answer as it arrives: it is one only if its end has come. */
final class CompletionStream
    implements ResponseStream<CompleteStreamResponse>, Iterator<CompleteStreamResponse> {
  private final CancellableContext context = Context.current().withCancellation();
  private final Iterator<CompleteStreamResponse> responses;
  private boolean finished;

  CompletionStream(PromptResolverBlockingStub stub, CompleteStreamRequest request) {
    var caller = context.attach();
    try {
      responses = stub.completeStream(request);
    } finally {
      context.detach(caller);
    }
  }

  @Override
  public Iterator<CompleteStreamResponse> iterator() {
    return this;
  }

  @Override
  public boolean hasNext() {
    boolean more;
    try {
      more = responses.hasNext();
    } catch (StatusRuntimeException failure) {
      throw PromptResolverException.of(failure);
    }
    if (!more && !finished) {
      throw PromptResolverException.ofIncompleteStream();
    }
    return more;
  }

  @Override
  public CompleteStreamResponse next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    var response = responses.next();
    finished = response.hasFinished();
    return response;
  }

  @Override
  public void close() {
    context.cancel(new CancellationException("the stream was closed"));
  }
}
