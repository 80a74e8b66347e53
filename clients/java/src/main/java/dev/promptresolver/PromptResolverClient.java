package dev.promptresolver;

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.ListenableFuture;
import com.google.common.util.concurrent.MoreExecutors;
import dev.promptresolver.v1.CompleteRequest;
import dev.promptresolver.v1.CompleteResponse;
import dev.promptresolver.v1.CompleteStreamRequest;
import dev.promptresolver.v1.CompleteStreamResponse;
import dev.promptresolver.v1.PromptResolverGrpc;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.ResolveResponse;
import dev.promptresolver.v1.WatchPromptsRequest;
import dev.promptresolver.v1.WatchPromptsResponse;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.AbstractStub;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;

/**
 * A client of prompt-resolver. Safe to share between threads; one is enough for a program.
 *
 * <p>Every call but {@code watch} has a timeout: 10 s of {@code resolve} and 120 s of completions, or
 * that of its {@link CallOptions}. A call waits for a server that is not there yet, or restarts, for
 * as long. {@code resolve} is tried again, up to three times, where a status says so; a completion,
 * which may cost tokens, only where a server that was stopped had not begun it.
 *
 * <p>A call that fails throws {@link PromptResolverException}. One that waits is cancelled by
 * interrupting its thread, a future by cancelling it, a stream by closing it, and each of them with
 * the {@link io.grpc.Context} in which it began. The server then stops what it does for it.
 */
public final class PromptResolverClient implements AutoCloseable {
  private static final Duration RESOLVE_TIMEOUT = Duration.ofSeconds(10);
  private static final Duration COMPLETE_TIMEOUT = Duration.ofSeconds(120);

  private final ManagedChannel connection;
  private final Channel channel;
  private final Set<WatchStream> watches = ConcurrentHashMap.newKeySet();

  PromptResolverClient(ManagedChannel connection, String address) {
    this.connection = connection;
    this.channel = ClientInterceptors.intercept(connection, new Diagnosis(connection, address));
  }

  /** Returns what a client is made with. */
  public static ClientBuilder builder() {
    return new ClientBuilder();
  }

  /** Returns a rendered prompt. */
  public ResolveResponse resolve(ResolveRequest request) {
    return resolve(request, CallOptions.DEFAULT);
  }

  /** Returns a rendered prompt. */
  public ResolveResponse resolve(ResolveRequest request, CallOptions options) {
    var stub = with(options, RESOLVE_TIMEOUT, PromptResolverGrpc.newBlockingStub(channel));
    return await(() -> stub.resolve(request));
  }

  /** Returns a rendered prompt, later. */
  public CompletableFuture<ResolveResponse> resolveAsync(ResolveRequest request) {
    return resolveAsync(request, CallOptions.DEFAULT);
  }

  /** Returns a rendered prompt, later. */
  public CompletableFuture<ResolveResponse> resolveAsync(
      ResolveRequest request, CallOptions options) {
    var stub = with(options, RESOLVE_TIMEOUT, PromptResolverGrpc.newFutureStub(channel));
    return later(stub.resolve(request));
  }

  /** Returns a model's whole answer to a prompt. */
  public CompleteResponse complete(CompleteRequest request) {
    return complete(request, CallOptions.DEFAULT);
  }

  /** Returns a model's whole answer to a prompt. */
  public CompleteResponse complete(CompleteRequest request, CallOptions options) {
    var stub = with(options, COMPLETE_TIMEOUT, PromptResolverGrpc.newBlockingStub(channel));
    return await(() -> stub.complete(request));
  }

  /** Returns a model's whole answer to a prompt, later. */
  public CompletableFuture<CompleteResponse> completeAsync(CompleteRequest request) {
    return completeAsync(request, CallOptions.DEFAULT);
  }

  /** Returns a model's whole answer to a prompt, later. */
  public CompletableFuture<CompleteResponse> completeAsync(
      CompleteRequest request, CallOptions options) {
    var stub = with(options, COMPLETE_TIMEOUT, PromptResolverGrpc.newFutureStub(channel));
    return later(stub.complete(request));
  }

  /** Returns a model's answer as it arrives; see the other {@code completeStream}. */
  public ResponseStream<CompleteStreamResponse> completeStream(CompleteStreamRequest request) {
    return completeStream(request, CallOptions.DEFAULT);
  }

  /**
   * Returns a model's answer as it arrives.
   *
   * <p>A loop over it ends once {@code finished} has come: a stream that ends before, even well,
   * throws instead, with the reason STREAM_INCOMPLETE.
   */
  public ResponseStream<CompleteStreamResponse> completeStream(
      CompleteStreamRequest request, CallOptions options) {
    return new CompletionStream(
        with(options, COMPLETE_TIMEOUT, PromptResolverGrpc.newBlockingStub(channel)), request);
  }

  /** Returns how prompts are, and each change, until it is closed; see the other {@code watch}. */
  public ResponseStream<WatchPromptsResponse> watch(WatchPromptsRequest request) {
    return watch(request, CallOptions.DEFAULT);
  }

  /**
   * Returns how prompts are, and each change, until it is closed, or for as long as the options
   * say.
   *
   * <p>Where the connection breaks or the server restarts, the watch goes on after the last event;
   * if the server does not know that one any more, a snapshot comes again.
   */
  public ResponseStream<WatchPromptsResponse> watch(
      WatchPromptsRequest request, CallOptions options) {
    var stub = with(options, null, PromptResolverGrpc.newBlockingStub(channel));
    var watch = new WatchStream(stub, request);
    watches.add(watch);
    watch.context.addListener(ended -> watches.remove(watch), Runnable::run);
    return watch;
  }

  /** Returns the connection, token included, for calls that this class does not have. */
  public Channel channel() {
    return channel;
  }

  /** Closes the connection. Calls that still run, or are made later, fail with CANCELLED. */
  @Override
  public void close() {
    watches.forEach(watch -> watch.end(Diagnosis.CLOSED));
    connection.shutdownNow();
  }

  private static <S extends AbstractStub<S>> S with(
      CallOptions options, Duration defaultTimeout, S stub) {
    var headers = new Metadata();
    options.metadata().forEach((name, value) -> headers.put(Header.key(name), value));
    var made = stub.withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
    var timeout = options.timeout().orElse(defaultTimeout);
    return timeout == null ? made : made.withDeadlineAfter(timeout);
  }

  private static <T> T await(Supplier<T> call) {
    try {
      return call.get();
    } catch (StatusRuntimeException failure) {
      throw PromptResolverException.of(failure);
    }
  }

  private static <T> CompletableFuture<T> later(ListenableFuture<T> call) {
    var future = new CompletableFuture<T>();
    Futures.addCallback(
        call,
        new FutureCallback<>() {
          @Override
          public void onSuccess(T response) {
            future.complete(response);
          }

          @Override
          public void onFailure(Throwable failure) {
            future.completeExceptionally(PromptResolverException.of(failure));
          }
        },
        MoreExecutors.directExecutor());
    // However the future ends, by `cancel` or `orTimeout` too, the call ends with it.
    future.whenComplete((response, failure) -> call.cancel(true));
    return future;
  }
}
