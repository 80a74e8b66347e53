package dev.promptresolver;

import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ConnectivityState;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.concurrent.TimeUnit;

/** Tells in a few words why calls failed that no server has ended. */
final class Diagnosis implements ClientInterceptor {
  /** Why the calls of a client end that is closed. */
  static final String CLOSED = "the client is closed";

  private final ManagedChannel channel;
  private final String address;

  Diagnosis(ManagedChannel channel, String address) {
    this.channel = channel;
    this.address = address;
  }

  @Override
  public <Q, A> ClientCall<Q, A> interceptCall(
      MethodDescriptor<Q, A> method, io.grpc.CallOptions options, Channel next) {
    return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
      @Override
      public void start(Listener<A> listener, Metadata headers) {
        var begun = System.nanoTime();
        super.start(
            new SimpleForwardingClientCallListener<>(listener) {
              @Override
              public void onClose(Status status, Metadata trailers) {
                var took = System.nanoTime() - begun;
                super.onClose(explain(status, trailers, took), trailers);
              }
            },
            headers);
      }
    };
  }

  private Status explain(Status status, Metadata trailers, long tookNanos) {
    return switch (status.getCode()) {
      // UNKNOWN is what gRPC tells of a call whose connection is closed as it is sent.
      case UNAVAILABLE, UNKNOWN ->
          channel.isShutdown() ? Status.CANCELLED.withDescription(CLOSED) : status;
      case DEADLINE_EXCEEDED ->
          trailers.containsKey(PromptResolverException.DETAILS) || isConnected()
              ? status
              : status
                  .withDescription(
                      "no connection to %s within %d ms"
                          .formatted(address, TimeUnit.NANOSECONDS.toMillis(tookNanos)))
                  .withCause(status.asException());
      default -> status;
    };
  }

  private boolean isConnected() {
    return channel.getState(false) == ConnectivityState.READY;
  }
}
