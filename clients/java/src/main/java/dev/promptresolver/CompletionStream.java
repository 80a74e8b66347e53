package dev.promptresolver;

import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.CompleteStreamResponse;
import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverBlockingStub;
import io.grpc.StatusRuntimeException;
import java.util.Iterator;
import java.util.NoSuchElementException;

/** A model's answer as it arrives: it is one only if its end has come. */
final class CompletionStream extends ContextStream<CompleteStreamResponse> {
  private final Iterator<CompleteStreamResponse> responses;
  private boolean finished;

  CompletionStream(PromptResolverBlockingStub stub, CompleteStreamRequest request) {
    responses = begin(() -> stub.completeStream(request));
  }

  @Override
  public boolean hasNext() {
    checkOpen();
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
    finished |= response.hasFinished();
    return response;
  }
}
