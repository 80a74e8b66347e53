package dev.promptresolver;

import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverBlockingStub;
import dev.promptresolver.v1.WatchPromptsRequest;
import dev.promptresolver.v1.WatchPromptsResponse;
import io.grpc.Deadline;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * One watch over as many calls as it takes: each goes on after the last event of the one before.
 */
final class WatchStream extends ContextStream<WatchPromptsResponse> {
  private static final long FIRST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 5_000;
  private static final int MAX_DOUBLINGS = 6;

  /** What a watch that its server ends well is taken for, as it is to last. */
  private static final Status ENDED =
      Status.UNAVAILABLE.withDescription("the server has ended the watch");

  private final CountDownLatch cancelled = new CountDownLatch(1);
  private final PromptResolverBlockingStub stub;
  private WatchPromptsRequest request;
  private Iterator<WatchPromptsResponse> responses;
  private int failures;

  WatchStream(PromptResolverBlockingStub stub, WatchPromptsRequest request) {
    this.stub = stub;
    this.request = request;
    context.addListener(ended -> cancelled.countDown(), Runnable::run);
    responses = call();
  }

  @Override
  public boolean hasNext() {
    while (true) {
      checkOpen();
      try {
        if (responses.hasNext()) {
          return true;
        }
        pause(PromptResolverException.of(ENDED.asRuntimeException()));
      } catch (StatusRuntimeException failure) {
        pause(PromptResolverException.of(failure));
      }
      responses = call();
    }
  }

  @Override
  public WatchPromptsResponse next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    var event = responses.next();
    request = request.toBuilder().setAfterRevision(event.getRevision()).build();
    failures = 0;
    return event;
  }

  private Iterator<WatchPromptsResponse> call() {
    return begin(() -> stub.watchPrompts(request));
  }

  /** Waits until the next call is worth making. Throws the failure where none is. */
  private void pause(PromptResolverException failure) {
    var busy =
        failure.getCode() == Status.Code.RESOURCE_EXHAUSTED
            && failure.getReason().equals("OVERLOADED");
    var away = failure.getCode() == Status.Code.UNAVAILABLE;
    if (!busy && !away) {
      throw failure;
    }
    try {
      if (cancelled.await(nextPauseMs(failure), TimeUnit.MILLISECONDS)) {
        checkOpen();
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw PromptResolverException.of(
          Status.CANCELLED.withDescription("Thread interrupted").asRuntimeException());
    }
  }

  private long nextPauseMs(PromptResolverException failure) {
    var longest = Math.min(FIRST_PAUSE_MS << failures, LONGEST_PAUSE_MS);
    failures = Math.min(failures + 1, MAX_DOUBLINGS);
    // At a random time, so that not all whose server restarts come back at once.
    var random = ThreadLocalRandom.current().nextLong(longest + 1);
    var pause = Math.max(random, failure.getRetryAfter().map(Duration::toMillis).orElse(0L));
    Deadline deadline = stub.getCallOptions().getDeadline();
    return deadline == null
        ? pause
        : Math.min(pause, deadline.timeRemaining(TimeUnit.MILLISECONDS) + 1);
  }
}
