package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.promptresolver.v1.CompleteRequest;
import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.WatchPromptsRequest;
import io.grpc.Context;
import io.grpc.Status;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("A call that its caller leaves ends at the server")
@Timeout(60)
final class CancellationTest {
  private HangingServer server;
  private PromptResolverClient client;

  @BeforeEach
  void begin() throws IOException {
    server = new HangingServer();
    client = server.connect();
  }

  @AfterEach
  void end() {
    client.close();
    server.close();
  }

  @Test
  @DisplayName("by an interrupt of the thread that waits, which stays interrupted")
  void interrupt() throws Exception {
    var ended = new CompletableFuture<Boolean>();
    var failed = new CompletableFuture<PromptResolverException>();
    var caller =
        new Thread(
            () -> {
              failed.complete(fail(() -> client.complete(CompleteRequest.getDefaultInstance())));
              ended.complete(Thread.currentThread().isInterrupted());
            });
    caller.start();
    server.awaitCall();
    caller.interrupt();

    assertEquals("complete", server.awaitLeaving());
    assertEquals(Status.Code.CANCELLED, failed.get().getCode());
    assertTrue(ended.get());
  }

  @Test
  @DisplayName("by an interrupt of the thread that watches")
  void interruptedWatch() throws Exception {
    var failed = read(client.watch(WatchPromptsRequest.getDefaultInstance()), Thread::interrupt);

    assertEquals("watch", server.awaitLeaving());
    assertEquals(Status.Code.CANCELLED, failed.get().getCode());
  }

  @Test
  @DisplayName("by a future that is cancelled")
  void cancelledFuture() throws Exception {
    var future = client.resolveAsync(ResolveRequest.getDefaultInstance());
    server.awaitCall();
    future.cancel(false);

    assertEquals("resolve", server.awaitLeaving());
  }

  @Test
  @DisplayName("by a future that has taken too long for its caller")
  void impatientFuture() throws Exception {
    var future = client.completeAsync(CompleteRequest.getDefaultInstance());
    server.awaitCall();
    future.orTimeout(1, TimeUnit.MILLISECONDS);

    assertEquals("complete", server.awaitLeaving());
  }

  @Test
  @DisplayName("by a stream that another thread closes")
  void closedStream() throws Exception {
    var events = client.completeStream(CompleteStreamRequest.getDefaultInstance());
    var failed = read(events, reader -> events.close());

    assertEquals("completeStream", server.awaitLeaving());
    assertEquals(Status.Code.CANCELLED, failed.get().getCode());
    assertEquals("the stream was closed", failed.get().getDescription());
  }

  @Test
  @DisplayName("by the context in which it began")
  void context() throws Exception {
    try (var context = Context.current().withCancellation()) {
      var events = context.call(() -> client.watch(WatchPromptsRequest.getDefaultInstance()));
      var failed = read(events, reader -> context.cancel(null));

      assertEquals("watch", server.awaitLeaving());
      assertEquals(Status.Code.CANCELLED, failed.get().getCode());
    }
  }

  @Test
  @DisplayName("by the client, when it is closed: also a watch, which would go on elsewise")
  void closedClient() throws Exception {
    var events = client.watch(WatchPromptsRequest.getDefaultInstance());
    var failed = read(events, reader -> client.close());

    assertEquals("watch", server.awaitLeaving());
    assertEquals(Status.Code.CANCELLED, failed.get().getCode());
    assertEquals("the client is closed", failed.get().getDescription());
  }

  @Test
  @DisplayName("by the client, which makes no call after it was closed")
  void callsOfClosedClient() throws Exception {
    var running = client.completeAsync(CompleteRequest.getDefaultInstance());
    server.awaitCall();
    client.close();

    assertEquals("complete", server.awaitLeaving());
    var ended = assertThrows(CompletionException.class, running::join);
    var later = fail(() -> client.resolve(ResolveRequest.getDefaultInstance()));
    for (var failed : List.of((PromptResolverException) ended.getCause(), later)) {
      assertEquals("CANCELLED: the client is closed", failed.getMessage());
    }
  }

  /** Reads a stream in a thread of its own, and has that end once the server has the call. */
  private CompletableFuture<PromptResolverException> read(
      ResponseStream<?> events, Consumer<Thread> end) throws InterruptedException {
    var failed = new CompletableFuture<PromptResolverException>();
    var reader = new Thread(() -> failed.complete(fail(() -> events.iterator().hasNext())));
    reader.start();
    server.awaitCall();
    end.accept(reader);
    return failed;
  }

  private static PromptResolverException fail(Runnable call) {
    return assertThrows(PromptResolverException.class, call::run);
  }
}
